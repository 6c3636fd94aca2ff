"""The command `new`: what it writes works as it is; it overwrites and hides nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lightning_posenc.cli import main
from lightning_posenc.new.command import KINDS, module_of, written

NAMES = {"encoding": "RootBias", "task": "WhoWasFirst", "mixer": "SeenMean",
         "feed_forward": "ReluSquares", "input": "NarrowTable", "sampler": "FromTheEnd",
         "diagnostic": "StateSize"}  # fmt: skip
ROOT = Path(__file__).parents[2]
TINY = [
    "--model.encoder.n_layers=1", "--data.steps_per_epoch=2", "--data.batch_size=4",
    "--data.eval_samples=8", "--trainer.max_epochs=1", "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false", "--trainer.log_every_n_steps=1",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in NAMES.values():  # of another test's folder
        monkeypatch.delitem(sys.modules, module_of(name), raising=False)


def test_every_kind_has_a_name_here() -> None:
    assert set(NAMES) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_writes_three_files_and_says_so_in_one_line(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", kind, NAMES[kind]]) == 0
    module, said = module_of(NAMES[kind]), capsys.readouterr().out
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == sorted([f"{module}.py", f"{module}.yaml", f"test_{module}.py"])
    assert len(said.splitlines()) == 1
    assert all(file in said for file in files)
    for path in tmp_path.iterdir():
        assert "$" not in path.read_text("utf-8")
        if path.suffix == ".py":
            compile(path.read_text("utf-8"), path, "exec")
        else:
            assert set(yaml.safe_load(path.read_text("utf-8"))) == {"model", "data", "trainer"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_passes_ruff(kind: str) -> None:
    """With the rules of this project, as first-party code of a folder of its own."""
    assert main(["new", kind, NAMES[kind]]) == 0
    rules = ["--isolated", "--line-length", "100"]
    select = "E,F,I,UP,B,SIM,RUF,PT,C4,D1"
    ignore = "D100,D103,D105,D107,RUF001,RUF002,RUF003"
    for command in (["check", "--select", select, "--ignore", ignore], ["format", "--check"]):
        run = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *rules, "."], capture_output=True, text=True
        )
        assert run.returncode == 0, run.stdout + run.stderr


def test_a_new_task_is_judged_listed_and_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others likewise, as processes of their own, below."""
    assert main(["new", "task", "WhoWasFirst"]) == 0
    from who_was_first import WhoWasFirst  # type: ignore[import-not-found]

    from lightning_posenc.testing import check_task

    check_task(WhoWasFirst)
    assert main(["tasks", "who_was_first"]) == 0
    assert "who_was_first.WhoWasFirst" in capsys.readouterr().out
    assert main(["tasks", "who_was_first.WhoWasFirst", "--n=2", "--n_symbols=3"]) == 0
    assert "length 10: Say which symbol came first." in capsys.readouterr().out
    config = ["fit", "--config", "who_was_first.yaml", *TINY, "--run_dir", str(tmp_path / "run")]
    assert main(config) == 0
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mixer", "diagnostic", "feed_forward", "input", "sampler"])
def test_it_is_judged_and_trained_on_in_this_process(kind: str, tmp_path: Path) -> None:
    """Which spares imports; and what compiles, but for a mixer, which is tried of our own."""
    assert main(["new", kind, NAMES[kind]]) == 0
    judge = ["-q", "-W", "error", "-p", "no:cacheprovider", str(tmp_path)]
    assert pytest.main([*judge, *(() if kind == "mixer" else ("-k", "not compiled"))]) == 0
    config = ["fit", "--config", f"{module_of(NAMES[kind])}.yaml", *TINY]
    run = tmp_path / "run"
    assert main([*config, "--run_dir", str(run)]) == 0
    assert (run / "checkpoints" / "last.ckpt").exists()
    if kind == "diagnostic":
        metrics = (run / "metrics.csv").read_text("utf-8")
        assert "state_size/size/layer_00" in metrics.splitlines()[0]


@pytest.mark.slow
def test_its_test_passes_and_its_config_trains(tmp_path: Path) -> None:
    """As a person does it, in processes of their own."""
    for command in (
        ["lightning_posenc", "new", "encoding", NAMES["encoding"]],
        ["pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "."],
        ["lightning_posenc", "fit", "--config", f"{module_of(NAMES['encoding'])}.yaml", *TINY],
    ):
        run = subprocess.run(
            [sys.executable, "-m", *command],
            capture_output=True, text=True, env=_environment(), cwd=tmp_path,
        )  # fmt: skip
        assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["encoding", "root_bias"], "'root_bias' is no class name"),
        (["encoding", "None"], "'None' is no class name"),
        (["encoding", "../Bias"], "is no class name"),
        (["task", "Random"], "a module random is there already"),
        (["mixer", "Lambda"], "lambda means something else to Python"),
        (["task", "Conftest"], "conftest means something else to pytest"),
        (["encoding", "RelativeBias"], "relative_bias.py needs RelativeBias for something else"),
        (["diagnostic", "Quantity"], "needs Quantity for something else: choose another name"),
        (["loss", "Mine"], "invalid choice: 'loss'"),
        (["task"], "the following arguments are required: NAME"),
    ],
)
def test_mistakes_end_in_one_line_and_write_nothing(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", ["root_bias.py", "test_root_bias.py", "root_bias.yaml"])
def test_nothing_is_overwritten(
    there: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / there).write_text("mine")
    assert main(["new", "encoding", "RootBias"]) == 2
    assert f"{there} is there already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "mine"


def test_a_folder_that_takes_no_file_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All three or none: the third fails, the first two go."""
    before = Path.open

    def full(path: Path, *args: object, **options: object) -> object:
        if path.suffix == ".yaml":
            raise OSError(28, "No space left on device")
        return before(path, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", full)
    assert main(["new", "task", "WhoWasFirst"]) == 2
    assert "who_was_first.yaml cannot be written here: No space left" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_modules_of_names() -> None:
    names = ("RootBias", "ALiBi", "RoPE2D", "T5", "MyHTTPBias")
    assert [module_of(name) for name in names] == [
        "root_bias", "a_li_bi", "ro_pe2_d", "t5", "my_http_bias",
    ]  # fmt: skip
    assert set(written("task", "WhoWasFirst")) == {
        "who_was_first.py", "test_who_was_first.py", "who_was_first.yaml",
    }  # fmt: skip
