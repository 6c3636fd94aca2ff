"""Finding and reading run directories."""

import json
import shutil
from pathlib import Path

import pytest

from lightning_posenc.report import runs
from tests.report.conftest import ENCODINGS
from tests.report.made_runs import class_of, config, write

REVERSE = class_of("tasks", "Reverse", n_symbols=16)


def one(directory: Path, **more: object) -> Path:
    return write(directory, config(ENCODINGS["RoPE"], REVERSE, 1), {20: 0.5}, **more)  # type: ignore[arg-type]


def test_every_run_is_found_once_in_natural_order(tmp_path: Path) -> None:
    for name in ("b/10", "b/9", "a"):
        one(tmp_path / name)
    copy = tmp_path / "a" / "wandb" / "run" / "files"
    copy.mkdir(parents=True)
    (copy / "config.yaml").write_text("{}")
    stray = tmp_path / "wandb" / "run"
    stray.mkdir(parents=True)
    (stray / "config.yaml").write_text("{}")
    found = runs.find([tmp_path, tmp_path / "b"])
    assert [run.name for run in found] == ["a", "b/9", "b/10"]
    assert {run.status for run in found} == {"finished"}
    assert [run.name for run in runs.find([tmp_path / "a"])] == ["a"]


def test_what_a_run_holds(tmp_path: Path) -> None:
    one(tmp_path / "run")
    (run,) = runs.find([tmp_path])
    assert run.seed == 1
    assert run.keys["model.positional"] == "RoPE"
    assert run.metrics["test/acc/len_20"] == 0.5
    assert "train/loss" not in run.history  # not drawn: not read
    assert run.history["val/acc"].count() == 15


@pytest.mark.parametrize(
    ("change", "status", "why"),
    [
        ({"status": "running"}, "unfinished", "was killed"),
        ({"status": "failed", "error": "ValueError: x"}, "failed", "ValueError: x"),
    ],
)
def test_runs_that_did_not_finish(tmp_path: Path, change: dict, status: str, why: str) -> None:
    one(tmp_path / "run", **change)
    (run,) = runs.find([tmp_path])
    assert run.status == status
    assert why in run.why


@pytest.mark.parametrize(
    ("trial", "summary", "status"),
    [
        ({"status": "complete", "error": None}, "finished", "finished"),
        ({"status": "stopped", "error": None}, "finished", "stopped"),
        ({"status": "killed", "error": "signal 9"}, "running", "killed"),
        ({"status": "running", "error": None}, "finished", "unfinished"),
        ({"status": "complete", "error": None}, "running", "unfinished"),
    ],
)
def test_a_sweep_knows_more_than_the_run(
    tmp_path: Path, trial: dict, summary: str, status: str
) -> None:
    one(tmp_path / "run", status=summary)
    (tmp_path / "run" / "trial.json").write_text(json.dumps(trial))
    (run,) = runs.find([tmp_path])
    assert run.status == status
    if trial["error"]:
        assert trial["error"] in run.why


def test_broken_files_are_named_and_others_go_on(tmp_path: Path) -> None:
    for name in "abcde":
        one(tmp_path / name)
    (tmp_path / "a" / "summary.json").write_text('{"status": "fini')
    (tmp_path / "b" / "config.yaml").write_text("model: [")
    (tmp_path / "c" / "config.yaml").unlink()
    (tmp_path / "d" / "metrics.csv").write_text("")
    found = {run.name: run for run in runs.find([tmp_path])}
    assert [run.status for run in found.values()] == [*["unreadable"] * 3, "finished", "finished"]
    assert "summary.json: not JSON" in found["a"].why
    assert "config.yaml: not YAML" in found["b"].why
    assert "config.yaml: No such file" in found["c"].why
    assert "\n" not in found["b"].why
    assert found["d"].history.empty


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no run there"):
        runs.find([tmp_path])
    with pytest.raises(ValueError, match="does not exist"):
        runs.find([tmp_path / "nowhere"])
    one(tmp_path / "run")
    with pytest.raises(ValueError, match="is a file"):
        runs.find([tmp_path / "run" / "summary.json"])


def test_names_do_not_depend_on_the_place(tmp_path: Path) -> None:
    one(tmp_path / "here" / "x" / "1")
    one(tmp_path / "here" / "y" / "1")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    here, there = (runs.find([tmp_path / each]) for each in ("here", "there"))
    assert [run.name for run in here] == [run.name for run in there] == ["x/1", "y/1"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"metrics": 3}, "metrics is no mapping"),
        ({"metrics": {"val/acc": "high"}}, "metrics.val/acc is no number, but 'high'"),
        ({"metrics": {"val/acc": [1]}}, "metrics.val/acc is no number"),
        ({"seconds_per_step": "fast"}, "seconds_per_step is no number"),
        ({"parameters": True}, "parameters is no number"),
        ({"versions": "2.13"}, "versions is no mapping"),
        ({"seed": "zero"}, "seed is no whole number"),
        ({"command": 5}, "command is no list of words"),
    ],
)
def test_an_odd_summary_leaves_one_run_out(tmp_path: Path, change: dict, why: str) -> None:
    """B25: a null, or anything else of another kind, took the whole report down."""
    one(tmp_path / "good")
    one(tmp_path / "odd", **change)
    good, odd = runs.find([tmp_path])
    assert (good.status, odd.status) == ("finished", "unreadable")
    assert why in odd.why


@pytest.mark.parametrize("change", [dict.fromkeys(runs.NUMBERS), {"seed": None, "command": None}])
def test_null_is_a_number_that_nobody_knows(tmp_path: Path, change: dict) -> None:
    one(tmp_path / "run", **change)
    (run,) = runs.find([tmp_path])
    assert run.status == "finished"


def test_links_that_lead_up_have_an_end(tmp_path: Path) -> None:
    """E3: two of them were followed for ever."""
    one(tmp_path / "run")
    for name in ("a", "b"):
        (tmp_path / name).symlink_to(tmp_path)
    assert [run.name for run in runs.find([tmp_path])] == ["run"]


def test_a_history_of_words_is_none(tmp_path: Path) -> None:
    one(tmp_path / "run")
    (tmp_path / "run" / "metrics.csv").write_text("step,val/acc\nnine,high\n10,0.5\n20,high\n")
    (run,) = runs.find([tmp_path])
    assert run.history["step"].tolist() == [10, 20]
    assert run.history["val/acc"].count() == 1
