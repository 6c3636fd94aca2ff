"""What the command line does, as functions."""

import traceback
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from lightning_posenc import api
from lightning_posenc.api import words
from lightning_posenc.data import SyntheticData
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import SequenceClassifier
from lightning_posenc.positional import ALiBi
from lightning_posenc.tasks import PositionPattern

TINY: dict[str, Any] = {
    "model.encoder": {"d_model": 16, "n_heads": 2, "n_layers": 2},
    "data": {
        "steps_per_epoch": 2,
        "train_length": 8,
        "batch_size": 4,
        "eval_samples": 8,
        "eval_lengths": [8],
    },
    "trainer": {
        "max_epochs": 1,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
        "log_every_n_steps": 1,
    },
}


def test_settings_are_spelled_as_the_command_line_has_them() -> None:
    said = words.settings(
        {"model": {"positional": "RoPE", "n": None}, "data.lengths": (8, 16), "trainer.on": True}
    )
    assert said == [
        "--model.positional=RoPE", "--model.n=null", "--data.lengths=[8, 16]", "--trainer.on=true",
    ]  # fmt: skip
    told = words.options(jobs=2, retry=True, seed=0, cap=None, not_so=False)
    assert told == ["--jobs", "2", "--retry", "--seed", "0"]
    assert words.joined([1, 2]) == "1,2"
    assert words.joined(()) is None
    assert words.following("text", "a") == ["--text", "a"]
    assert words.repeated("by", ["a", "b"]) == ["--by", "a", "--by", "b"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for positional in ("RoPE", "NoPE"):
            api.fit("quickstart", {**TINY, "model.positional": positional}, run_dir=positional)
        data = SyntheticData(
            PositionPattern(), train_length=8, batch_size=4, steps_per_epoch=2, eval_samples=8
        )
        spec = EncoderSpec(d_model=16, n_heads=2, n_layers=2)
        module = SequenceClassifier(spec, data.vocab_size, data.n_classes, positional=ALiBi)
        run = api.fit(module, data, trainer=TINY["trainer"], run_dir="ALiBi")
        assert run.module is module
        assert run.trainer is not None
        assert run.trainer.global_step == 2
    return place


@pytest.mark.parametrize("name", ["RoPE", "ALiBi"])
def test_a_run_tells_what_it_measured(runs: Path, name: str) -> None:
    run = api.RunResult(runs / name)
    assert run.status == "finished"
    assert run.title == f"SequenceClassifier with {name}"
    assert list(run.by_length.index) == [8]
    assert run.by_length.loc[8, "acc"] == run.metrics["test/acc/len_8"]
    assert run.history["step"].max() >= 1
    assert run.checkpoint.is_file()
    assert (run.directory / "run.html").is_file()
    assert {"Curves", "attention"} <= set(run.figures)
    assert all(isinstance(figure, Figure) for figure in run.figures.values())
    assert "data:image/png" in run._repr_html_()
    assert "finished" in repr(run)
    assert len(run.load()([1] * 8)) > 0


def test_a_checkpoint_is_tested_again_to_the_same_numbers(runs: Path) -> None:
    again = api.test(runs / "RoPE", run_dir=runs.parent / "again")
    assert again.metrics["test/acc/len_8"] == api.RunResult(runs / "RoPE").metrics["test/acc/len_8"]


def test_runs_of_configs_and_of_objects_are_compared(runs: Path) -> None:
    found = api.report(runs, out=runs.parent / "report")
    assert set(found.table.index) == {"NoPE", "RoPE", "ALiBi"}
    assert isinstance(found.numbers, pd.DataFrame)
    assert found.html_page.is_file()
    assert found.figures
    assert "<table" in found._repr_html_()


def test_a_checkpoint_is_examined(runs: Path) -> None:
    found = api.diagnose(runs / "RoPE", cause_seconds=0, out=runs.parent / "diagnosis")
    assert found.verdict in ("ill", "watch", "healthy")
    assert len(found.table) > 15
    assert not found.by_layer.empty
    assert all(isinstance(figure, Figure) for figure in found.figures.values())
    assert found.html_page.is_file()


def test_mistakes_are_said_in_one_line(runs: Path) -> None:
    with pytest.raises(ValueError, match="did you mean RoPE"):
        api.fit("quickstart", {"model.positional": "Ropes"})
    with pytest.raises(ValueError, match="already holds a run"):
        api.fit("quickstart", TINY, run_dir=runs / "RoPE")
    with pytest.raises(TypeError, match="must be a LightningDataModule, got a dict"):
        api.fit(SequenceClassifier(EncoderSpec(d_model=16), 4, 2), {})
    with pytest.raises(ValueError, match="name --ckpt_path"):
        api.diagnose()
    with pytest.raises(ValueError, match="holds 3 runs"):
        api.RunResult(runs)


@pytest.mark.parametrize(
    "ask", [api.fit, lambda name, given: api.diagnose(None, given, config=name)]
)
def test_a_mistake_in_python_does_not_fill_a_screen(ask: Any) -> None:
    with pytest.raises(ValueError, match=r"unknown option model\.nonsense") as raised:
        ask("quickstart", {"model.nonsense": 1})
    shown = "".join(traceback.format_exception(raised.value))
    assert "argparse" not in shown
    assert len(shown.splitlines()) < 30


@pytest.mark.long
def test_a_sweep_of_a_mapping_runs_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = {
        "name": "small",
        "program": "lightning_posenc",
        "method": "grid",
        "metric": {"name": "val/loss", "goal": "minimize"},
        "parameters": {"model.positional": {"values": ["RoPE", "NoPE"]}},
        "command": [
            "python", "-m", "lightning_posenc", "fit", "--config", "quickstart",
            *words.settings(TINY), "${args}",
        ],
    }  # fmt: skip
    found = api.sweep(study)
    assert [str(each.status) for each in found.trials] == ["complete", "complete"]
    assert set(found.table["model.positional"]) == {"RoPE", "NoPE"}
    assert found.best.metrics["val/loss"] == found.table["val/loss"].min()
    assert set(found.report().table.index) == {"RoPE", "NoPE"}
    assert found.figures
    assert api.sweep(study).table.equals(found.table)
