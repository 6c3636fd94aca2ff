"""Runs that were trained as one are the runs that each seed makes by itself."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_posenc.cli import main
from lightning_posenc.training import command
from lightning_posenc.training.stacked.stack import Unstackable
from lightning_posenc.training.stacked.together import fit_stacked, train_together
from lightning_posenc.training.summary import SPENT

ROOT = Path(__file__).parents[3]
FIT = [
    f"--config={ROOT / 'configs' / 'quickstart.yaml'}",
    "--model.encoder={d_model: 16, n_heads: 2, n_layers: 1}",
    "--model.schedule.warmup_steps=3",
    "--data.train_length=8",
    "--data.eval_lengths=[8,12]",
    "--data.eval_samples=16",
    "--data.batch_size=4",
    "--data.steps_per_epoch=5",
    "--trainer.max_epochs=2",
    "--trainer.gradient_clip_val=0.5",
    "--trainer.log_every_n_steps=2",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.accelerator=cpu",
]

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]


def alone(seed: int, run_dir: Path, *more: str) -> Path:
    assert main(["fit", *FIT, f"--seed_everything={seed}", f"--run_dir={run_dir}", *more]) == 0
    return run_dir


def table(run_dir: Path) -> list[dict[str, str]]:
    with (run_dir / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def summary(run_dir: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run_dir / "summary.json").read_text("utf-8"))
    return found


def checkpoint(run_dir: Path, name: str) -> dict[str, Any]:
    path = run_dir / "checkpoints" / f"{name}.ckpt"
    found: dict[str, Any] = torch.load(path, weights_only=True)
    return found


def assert_near(found: Any, expected: Any, where: str = "") -> None:
    """Nested values, whose numbers are those expected to 1e-5."""
    assert type(found) is type(expected), where
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key, value in expected.items():
            assert_near(found[key], value, f"{where}.{key}")
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), where
        for n, value in enumerate(expected):
            assert_near(found[n], value, f"{where}[{n}]")
    elif isinstance(expected, torch.Tensor):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5, msg=where)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=1e-5, nan_ok=True), where
    else:
        assert found == expected, where


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Seed 7 trained with seed 3, and by itself."""
    home = tmp_path_factory.mktemp("runs")
    stacked = fit_stacked(FIT, [3, 7], home / "stacked")
    assert stacked == [home / "stacked" / "3", home / "stacked" / "7"]
    return stacked[1], alone(7, home / "alone")


@pytest.mark.filterwarnings("ignore")
def test_a_stacked_run_is_a_run_like_any_other(pair: tuple[Path, Path]) -> None:
    found, expected = pair
    assert {path.name for path in found.rglob("*")} == {path.name for path in expected.rglob("*")}
    assert (found / "config.yaml").read_text() == (expected / "config.yaml").read_text()
    rows, wanted = table(found), table(expected)
    assert len(rows) == len(wanted) == 8
    for row, other in zip(rows, wanted, strict=True):
        numbers = {key: float(value) for key, value in row.items() if value}
        assert_near(numbers, {key: float(value) for key, value in other.items() if value})
    said, told = summary(found), summary(expected)
    assert said["status"] == "finished"
    assert said["seed"] == 7
    assert_near(said["metrics"], told["metrics"])
    assert "test/acc/len_12" in said["metrics"]
    assert said["stacked"]["seeds"] == 2
    # Neither the time nor the memory is its own.
    assert told.keys() - said.keys() == {
        "seconds_per_step",
        "peak_memory_mb",
        "peak_memory_of",
        "device",
        "train_seconds",
        "train_tokens",
        "train_flops",
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["best", "last"])
def test_its_checkpoint_is_that_of_a_single_run(pair: tuple[Path, Path], name: str) -> None:
    found, expected = (checkpoint(run_dir, name) for run_dir in pair)
    apart = [each.pop("callbacks") for each in (found, expected)]
    assert (SPENT in found, expected.pop(SPENT)["tokens"] > 0) == (False, True)
    assert_near(found, expected)
    best, other = (
        next(state for key, state in states.items() if "val/loss" in key) for states in apart
    )
    assert_near(best["best_model_score"], other["best_model_score"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_longer_run_goes_on_from_it(pair: tuple[Path, Path]) -> None:
    for run_dir in pair:
        last = run_dir / "checkpoints" / "last.ckpt"
        assert main(["fit", f"--ckpt_path={last}", "--trainer.max_epochs=3"]) == 0
        assert summary(run_dir)["steps"] == 15
    found, expected = (checkpoint(run_dir, "last") for run_dir in pair)
    assert_near(found["state_dict"], expected["state_dict"])
    assert_near(found["optimizer_states"], expected["optimizer_states"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_seed_that_diverges_ends_as_it_would_alone(tmp_path: Path) -> None:
    """It begins once more by itself, since it has no checkpoint, and meets the same end."""
    steps = [f"--model.optimizer.{name}=1e6" for name in ("lr", "weight_decay")]
    wild = [*FIT, "--model.optimizer=torch.optim.SGD", *steps]
    with pytest.raises(ValueError, match="diverged: the loss is not finite at step"):
        fit_stacked(wild, [0, 1], tmp_path)
    with pytest.raises(ValueError, match="diverged: the loss is not finite at step") as expected:
        command.run(["fit", *wild, "--seed_everything=1", f"--run_dir={tmp_path / 'alone'}"])
    for seed in "01":
        assert summary(tmp_path / seed)["status"] == "diverged"
    assert summary(tmp_path / "1")["error"] == f"Diverged: {expected.value}"


@pytest.mark.parametrize(("reason", "first", "second"), [
    ("there is one run alone", [], None),
    ("differ in model, not in their seeds alone", [], ["--model.positional=RoPE"]),
    *(
        pytest.param(*each, marks=pytest.mark.slow)
        for each in (
            ("draws random numbers", *[["--model.encoder.dropout=0.1"]] * 2),
            ("are not all different", ["--seed_everything=5"], ["--seed_everything=5"]),
            ("trainer.callbacks is for one model", *[["--trainer.callbacks=RankCollapse"]] * 2),
            ("trainer.strategy=ddp is for one model", *[["--trainer.strategy=ddp"]] * 2),
            ("trainer.max_time=00:00:10:00", *[["--trainer.max_time=00:00:10:00"]] * 2),
        )
    ),
], ids=lambda value: value if isinstance(value, str) else "")  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_trained_as_one_is_refused(
    reason: str, first: list[str], second: list[str] | None, tmp_path: Path
) -> None:
    commands = [
        [*FIT, f"--seed_everything={seed}", *more, f"--run_dir={tmp_path / str(seed)}"]
        for seed, more in enumerate([first, second])
        if more is not None
    ]
    with pytest.raises(Unstackable, match=reason) as refusal:
        train_together(commands)
    assert "\n" not in str(refusal.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.filterwarnings("ignore")
def test_a_directory_that_holds_a_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "config.yaml").write_text("of another run")
    with pytest.raises(ValueError, match="already holds a run"):
        fit_stacked(FIT, [0, 1], tmp_path)
    assert (tmp_path / "1" / "config.yaml").read_text() == "of another run"
    assert not (tmp_path / "0" / "config.yaml").exists()
