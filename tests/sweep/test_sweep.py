"""The command `sweep` on a program that takes tenths of a second: what is done, kept, and said."""

import errno
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightning_posenc.cli import main
from lightning_posenc.mistakes import arguments
from lightning_posenc.sweep import trial_metrics
from lightning_posenc.sweep.directory import SweepDirectory

TOY = str(Path(__file__).parent / "toy.py")


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def write(losses: list[Any], name: str = "s", **more: Any) -> str:
    """A sweep over losses; its file."""
    content = {
        "program": TOY,
        "method": "grid",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"loss": {"values": losses}, **more.pop("parameters", {})},
        **more,
    }
    Path(f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return f"{name}.yaml"


def trials(directory: str = "runs/s") -> list[dict[str, Any]]:
    """The records, by number."""
    found = [json.loads(path.read_text()) for path in Path(directory).glob("*/trial.json")]
    return sorted(found, key=lambda record: record["number"])


def statuses(directory: str = "runs/s") -> list[str]:
    return [trial["status"] for trial in trials(directory)]


def times(directory: str = "runs/s") -> list[int]:
    """When each record was written last."""
    return [path.stat().st_mtime_ns for path in sorted(Path(directory).glob("*/trial.json"))]


def test_every_trial_has_its_directory(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", write([3, 1, 2]), "--jobs", "2"]) == 0
    assert statuses() == ["complete"] * 3
    assert [trial["metric"] for trial in trials()] == [1.5, 0.5, 1.0]
    first = trials()[0]
    assert first["command"] == ["/usr/bin/env", "python", TOY, "--loss=3"]
    assert first["seconds"] > 0
    here = next(Path("runs/s").glob("000-*"))
    threads = max(1, len(os.sched_getaffinity(0)) // 2)
    assert (here / "trial.log").read_text() == f"threads {threads} gpu None\n"
    assert Path("runs/s/sweep.yaml").read_text() == Path("s.yaml").read_text()
    out = capsys.readouterr().out
    assert "[3/3]" in out
    table = out[out.index("best by loss") :]
    assert table.index("001-") < table.index("002-") < table.index("000-")
    assert "3 complete: runs/s" in out


def test_bad_ends_are_recorded_and_harm_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    file = write([1, "raise", "kill", 2])
    assert main(["sweep", file]) == 1
    assert statuses() == ["complete", "failed", "killed", "complete"]
    assert [trial["error"] for trial in trials()] == [
        None, "RuntimeError: no luck", "killed by signal 9: out of memory?", None,
    ]  # fmt: skip
    error = capsys.readouterr().err
    assert "2 of 4 trials failed, first 001-" in error
    assert "runs/s/*/trial.log" in error
    assert error.count("\n") == 1
    before = times()
    assert main(["sweep", file]) == 1  # nothing is left to do, and it is still no success
    assert times() == before
    assert main(["sweep", file, "--retry_failed"]) == 1
    assert [new != old for new, old in zip(times(), before, strict=True)] == [
        False, True, True, False,
    ]  # fmt: skip


def test_mended_values_replace_those_that_failed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", write([1, "raise"])]) == 1
    assert main(["sweep", write([1, 5])]) == 0
    assert [trial["parameters"]["loss"] for trial in trials()] == [1, 5]
    assert len(list(Path("runs/s").glob("0*"))) == 2


def test_what_cannot_be_run_is_one_line() -> None:
    assert main(["sweep", write([1], command=["./nothing-here", "${args}"])]) == 1
    assert trials()[0]["error"] == "error: cannot run ./nothing-here: No such file or directory"


def test_arguments_reach_a_program_as_a_file_too() -> None:
    code = "import json, sys; print(json.load(open(sys.argv[1])))"
    words = [sys.executable, "-c", code, "${args_json_file}"]
    nested = {"a": {"parameters": {"b": {"value": None}}}}
    assert main(["sweep", write([1], command=words, parameters=nested, metric=None)]) == 2
    content = yaml.safe_load(Path("s.yaml").read_text())
    del content["metric"]
    Path("s.yaml").write_text(yaml.safe_dump(content))
    assert main(["sweep", "s.yaml"]) == 0
    (log,) = Path("runs/s").glob("*/trial.log")
    assert log.read_text() == "{'a': {'b': None}, 'loss': 1}\n"


def begin(file: str, *more: str) -> subprocess.Popen[bytes]:
    """A sweep in a process of its own, which heeds Ctrl-C even if these tests do not."""
    return subprocess.Popen(
        [sys.executable, "-m", "lightning_posenc", "sweep", file, "--jobs", "2", *more],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def wait_for(condition: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs; a dead one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_killed_and_begun_again_none_is_lost_and_none_done_twice() -> None:
    parameters = {"seconds": {"value": 0.4}, "done": {"value": "done.txt"}}
    file = write(list(range(6)), parameters=parameters)
    sweep = begin(file)
    # Two are done, and a third one is in its middle.
    wait_for(lambda: statuses().count("complete") >= 2 and len(list(Path().rglob("pid"))) >= 3)
    sweep.kill()
    sweep.wait()
    assert sweep.stdout is not None
    sweep.stdout.close()
    pids = [int(path.read_text()) for path in Path("runs/s").glob("*/pid")]
    wait_for(lambda: not any(map(alive, pids)), seconds=20)
    complete = [trial["number"] for trial in trials() if trial["status"] == "complete"]
    unfinished = [trial["number"] for trial in trials() if trial["status"] == "running"]
    assert 2 <= len(complete) < 6
    assert unfinished
    leftover = next(Path("runs/s").glob(f"{unfinished[0]:03d}-*")) / "leftover"
    leftover.touch()
    before = times()
    again = begin(file)
    assert again.wait(60) == 0
    assert again.stdout is not None
    assert f"{len(complete)} of 6 trials are done already" in again.stdout.read().decode()
    again.stdout.close()
    assert statuses() == ["complete"] * 6
    assert not leftover.exists()
    done = Counter(Path("done.txt").read_text().split())
    # A trial may have said that it was done just when its sweep was killed; a recorded one is not
    # run again.
    assert set(done) == set("012345")
    assert all(done[str(number)] == 1 for number in complete)
    assert all(times()[number] == before[number] for number in complete)


def test_two_sweeps_cannot_share_a_directory(capsys: pytest.CaptureFixture[str]) -> None:
    file = write([1, 2])
    with SweepDirectory(Path("runs/s")):
        assert main(["sweep", file]) == 2
    assert "another sweep works there" in capsys.readouterr().err
    assert main(["sweep", file]) == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_asked_to_end_it_takes_its_trials_along(number: int, code: int) -> None:
    sweep = begin(write([1, 2], parameters={"seconds": {"value": 30.0}}))
    wait_for(lambda: len(list(Path("runs").rglob("pid"))) == 2)
    pids = [int(path.read_text()) for path in Path("runs").rglob("pid")]
    sweep.send_signal(number)
    out, _ = sweep.communicate(timeout=30)
    assert sweep.returncode == code
    assert "the same command goes on" in out.decode()
    wait_for(lambda: not any(map(alive, pids)), seconds=10)
    assert statuses() == ["running"] * 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metric": {"name": "other"}}, "another metric"),
        ({"command": ["python", "${program}"]}, "another command"),
        ({"parameters": {"n": {"value": 3}}}, "has other parameters"),
    ],
)
def test_another_definition_does_not_mix_with_the_first(
    changes: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", write([1, 2])]) == 0
    kept = Path("runs/s/sweep.yaml").read_text()
    assert main(["sweep", write([1, 2], **changes)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "--sweep_dir" in error
    assert Path("runs/s/sweep.yaml").read_text() == kept
    assert main(["sweep", write([1, 2], **changes), "--sweep_dir", "elsewhere"]) in (0, 1)


def test_a_sweep_may_grow() -> None:
    assert main(["sweep", write([1, 2, 3], run_cap=1)]) == 0
    before = times()
    assert main(["sweep", write([1, 2, 3, 4], run_cap=3, description="more")]) == 0
    assert main(["sweep", "s.yaml", "--run_cap", "4"]) == 0
    assert [trial["parameters"]["loss"] for trial in trials()] == [1, 2, 3, 4]
    assert times()[0] == before[0]


def test_a_directory_with_something_else_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.tex").touch()
    assert main(["sweep", write([1]), "--sweep_dir", "mine"]) == 2
    assert "holds no sweep, but thesis.tex" in capsys.readouterr().err
    assert os.listdir("mine") == ["thesis.tex"]
    assert main(["sweep", "s.yaml", "--sweep_dir", "mine/thesis.tex"]) == 2
    assert "is a file" in capsys.readouterr().err


def test_a_metric_that_no_trial_logs(capsys: pytest.CaptureFixture[str]) -> None:
    file = write([1, 2], metric={"name": "los", "goal": "minimize"})
    assert main(["sweep", file]) == 1
    assert statuses() == ["complete"] * 2  # a grid goes on
    captured = capsys.readouterr()
    assert "no finite metric 'los': did you mean loss?" in captured.err
    assert captured.out.count("warning") == 1


@pytest.mark.parametrize(
    "more",
    [
        {"method": "bayes", "run_cap": 5, "parameters": {"n": {"values": [1, 2]}}},
        {"early_terminate": {"type": "hyperband", "min_iter": 1}},
    ],
)
def test_what_needs_the_metric_stops_without_it(
    more: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", write([1], metric={"name": "loss_"}, **more)]) == 2
    error = capsys.readouterr().err
    assert "no finite metric 'loss_': did you mean loss?" in error
    assert statuses() == ["complete"]


def strict(path: Path) -> Any:
    """JSON, whose numbers are all numbers."""

    def refuse(name: str) -> Any:
        raise AssertionError(f"{path}: {name} is not JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def test_a_trial_that_ends_as_no_number_is_the_worst(capsys: pytest.CaptureFixture[str]) -> None:
    """B8: 6, 3, 2, nan is not 2; B23: nor is its metric misspelt; G3: nor does it rank first."""
    file = write([6, 9, "inf"], parameters={"last": {"values": ["nan", 5]}, "n": {"value": 3}})
    assert main(["sweep", file]) == 0
    assert statuses() == ["diverged", "complete"] * 2 + ["diverged", "complete"]
    assert [trial["metric"] for trial in trials()] == [None, 5.0] * 3
    assert "loss ended as no finite number" in trials()[0]["error"]
    for path in Path("runs/s").glob("*/trial.json"):
        strict(path)
    captured = capsys.readouterr()
    assert "did you mean" not in captured.err + captured.out
    assert "best 5 (001)" in captured.out
    table = captured.out[captured.out.index("best by loss") :]
    order = [table.index(f"00{number}-") for number in (1, 3, 5, 0, 2, 4)]
    assert order == sorted(order)
    assert main(["sweep", file, "--retry_failed"]) == 0  # another try would end alike
    assert "6 of 6 trials are done already" in capsys.readouterr().out


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
@pytest.mark.parametrize(
    "more",
    [
        {"method": "bayes", "run_cap": 4, "parameters": {"n": {"values": [1, 2]}}},
        {"early_terminate": {"type": "hyperband", "min_iter": 2, "strict": True}},
    ],
    ids=["bayes", "hyperband"],
)
def test_a_first_trial_without_a_number_ends_no_sweep(more: dict[str, Any], goal: str) -> None:
    """B23: bayes and early_terminate took it for a metric that nobody logs."""
    losses = ["nan", 2, "inf"]
    assert main(["sweep", write(losses, metric={"name": "loss", "goal": goal}, **more)]) == 0
    # On a slow machine hyperband stops what has diverged before it ends by itself.
    assert {"complete"} < set(statuses()) <= {"complete", "diverged", "stopped"}


def test_a_sweep_of_which_nothing_is_left_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", write(["nan", "inf"])]) == 1
    assert "every trial diverged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("summary", "why"),
    [
        ({"status": "diverged", "error": "loss: nan at step 3"}, "loss: nan at step 3"),
        ({"status": "finished", "metrics": {"val/acc": 0.9, "train/loss": None}}, "train/loss"),
        ({"metrics": {"val/acc": 0.9, "test/loss/len_8": math.nan}}, "test/loss/len_8"),
        ({"metrics": {"val/acc": None}}, "val/acc ended"),
        ({"metrics": {"val/acc": 0.9, "val/loss": 2.0}}, None),
        ({"metrics": {"val/loss": 2.0, "lossless": None}}, None),
    ],
)
def test_how_a_trial_is_known_to_have_diverged(
    tmp_path: Path, summary: dict[str, Any], why: str | None
) -> None:
    """G3: an accuracy stays finite where all logits are NaN, and may be the best of the sweep."""
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    found = trial_metrics.diverged(tmp_path, "val/acc")
    assert found is None if why is None else why in str(found)


def bad_places(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nothing" / "there")
    return {
        "lies below, a file": str(tmp_path / "file" / "below"),
        "File name too long": str(tmp_path / ("x" * 300)),
        "a link to nothing": str(tmp_path / "link"),
    }


def test_a_place_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """G11: --sweep_dir ended in tracebacks."""
    file = write([1])
    for why, place in bad_places(tmp_path).items():
        assert main(["sweep", file, "--sweep_dir", place]) == 2
        assert why in (error := capsys.readouterr().err)
        assert error.startswith("error: --sweep_dir")
        assert error.count("\n") == 1

    def read_only(**options: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(arguments, "TemporaryFile", read_only)
    assert main(["sweep", file, "--sweep_dir", "here"]) == 2
    assert "Read-only file system: name a directory that can be written" in capsys.readouterr().err


def test_no_trial_is_begun_past_the_target() -> None:
    metric = {"name": "loss", "goal": "minimize", "target": 1.0}
    assert main(["sweep", write([8, 2, 4, 6], metric=metric)]) == 0
    assert [trial["metric"] for trial in trials()] == [4.0, 1.0]


def test_a_trial_that_is_behind_is_stopped_and_keeps_what_it_has() -> None:
    rule = {"type": "hyperband", "min_iter": 2, "eta": 2}
    parameters = {"n": {"value": 6}, "seconds": {"value": 0.5}}
    file = write([1, 2, 900], early_terminate=rule, parameters=parameters)
    assert main(["sweep", file, "--jobs", "3"]) == 0
    # At two values 1/2 is better than 2/2, which is the threshold for 900/2.
    assert statuses() == ["complete", "complete", "stopped"]
    assert trials()[2]["metric"] > 900 / 6
    (log,) = Path("runs/s").glob("002-*/metrics.csv")
    assert 2 <= len(log.read_text().splitlines()) - 1 < 6


def test_random_draws_are_those_of_the_seed() -> None:
    file = write([1, 2, 3], method="random", run_cap=4, parameters={"n": {"min": 1, "max": 9}})
    for directory, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert main(["sweep", file, "--seed", seed, "--jobs", "4", "--sweep_dir", directory]) == 0
    drawn = {d: [trial["parameters"] for trial in trials(d)] for d in "abc"}
    assert drawn["a"] == drawn["b"] != drawn["c"]


def test_bayes_runs_to_its_cap() -> None:
    file = write([4, 1], method="bayes", run_cap=3)
    assert main(["sweep", file]) == 0
    assert statuses() == ["complete"] * 3
    assert all(trial["point"]["loss"] in (0, 1) for trial in trials())


def test_gpus_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    parameters = {"seconds": {"value": 0.5}}
    assert main(["sweep", write([1, 2], parameters=parameters)]) == 0  # one a GPU by default
    logs = [path.read_text() for path in sorted(Path("runs").rglob("trial.log"))]
    assert [log.split()[-1] for log in logs] == ["5", "7"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "the following arguments are required: FILE"),
        (["none.yaml"], "no such file"),
        (["s.yaml", "--jobs", "0"], "'0' is not a whole number above 0"),
        (["s.yaml", "--job", "1"], "unrecognized arguments"),
        (["random.yaml"], "method random never ends"),
    ],
)
def test_mistakes_end_in_one_line(
    args: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write([1])
    write([1], name="random", method="random")
    assert main(["sweep", *args]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not Path("runs").exists()


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys; from lightning_posenc.cli import main\n"
        "try: main(['sweep', '--help'])\n"
        "finally: print(any(m in sys.modules for m in ('torch', 'optuna', 'scipy', 'rich')))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--retry_failed" in run.stdout
    assert run.stdout.endswith("False\n")
