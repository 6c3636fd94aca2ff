"""A fit that was stopped anywhere, and started again by the same command, ends as if it had not."""

import csv
import json
import os
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_posenc.cli import main
from lightning_posenc.training.checkpoint_config import with_checkpoint_config

ROOT = Path(__file__).parents[1]
FIT = [
    "fit",
    f"--config={ROOT / 'configs' / 'quickstart.yaml'}",
    "--model.encoder={d_model: 16, n_heads: 2, n_layers: 1, dropout: 0.1}",
    "--model.positional=RoPE",
    "--model.positions=Randomized",
    "--data.steps_per_epoch=6",
    "--data.eval_samples=16",
    "--data.batch_size=4",
    "--trainer.max_epochs=2",
    "--trainer.val_check_interval=3",
    "--trainer.log_every_n_steps=1",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.callbacks=ModelCheckpoint",
    "--trainer.callbacks.filename=best",
    "--trainer.callbacks.monitor=val/loss",
    "--trainer.callbacks.enable_version_counter=false",
    "--trainer.callbacks+=ModelCheckpoint",
    "--trainer.callbacks.filename=last",
    "--trainer.callbacks.every_n_train_steps=1",
    "--trainer.callbacks.enable_version_counter=false",
]
STOPPER = """
import os, signal
import lightning as L

class Stop(L.Callback):
    def __init__(self, hook: str, step: int, by: str = "failure"):
        self.by = by
        def act(trainer, *_):
            if trainer.global_step != step or trainer.sanity_checking:
                return
            if by == "failure":
                raise InterruptedError("stopped here")
            os.kill(os.getpid(), getattr(signal, by))
        setattr(self, hook, act)
"""


def fit(run_dir: Path, *more: str) -> int:
    return main([*FIT, f"--run_dir={run_dir}", *more, "--ckpt_path=last"])


def stop(hook: str, step: int, by: str = "failure") -> list[str]:
    return ["--trainer.callbacks+=stopper.Stop", f"--trainer.callbacks.hook={hook}",
            f"--trainer.callbacks.step={step}", f"--trainer.callbacks.by={by}"]  # fmt: skip


def outcome(run_dir: Path) -> tuple[dict[str, torch.Tensor], Counter[str], dict[str, Any]]:
    """Weights, rows of metrics.csv, and the summary's metrics."""
    checkpoint = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    with (run_dir / "metrics.csv").open(newline="") as file:
        rows = Counter(json.dumps(row, sort_keys=True) for row in csv.DictReader(file))
    return checkpoint["state_dict"], rows, json.loads((run_dir / "summary.json").read_text())


def assert_same(run_dir: Path, whole: Path) -> None:
    weights, rows, summary = outcome(run_dir)
    expected_weights, expected_rows, expected_summary = outcome(whole)
    assert rows == expected_rows
    assert summary["metrics"] == expected_summary["metrics"]
    assert summary["status"] == "finished"
    for name, value in expected_weights.items():
        assert torch.equal(weights[name], value), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert fit(run_dir) == 0
    return run_dir


@pytest.fixture(autouse=True)
def stopper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stopper.py").write_text(STOPPER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "stopper", raising=False)


@pytest.mark.parametrize(
    ("hook", "step"),
    [
        pytest.param("on_train_start", 0, id="before the first checkpoint"),
        pytest.param("on_validation_start", 3, id="before the validation within an epoch"),
        pytest.param("on_validation_batch_end", 6, id="in the validation that ends an epoch"),
        pytest.param("on_test_start", 12, id="in the test"),
    ],
)
@pytest.mark.slow
def test_stopped_and_started_again(tmp_path: Path, whole: Path, hook: str, step: int) -> None:
    with pytest.raises(InterruptedError, match="stopped here"):
        fit(tmp_path / "run", *stop(hook, step))
    assert fit(tmp_path / "run") == 0
    assert_same(tmp_path / "run", whole)


@pytest.mark.parametrize(
    ("hook", "step", "saved", "name"),
    [
        pytest.param("on_train_batch_start", 4, 5, "SIGTERM", id="in a step"),
        pytest.param("on_train_batch_start", 4, 5, "SIGINT", id="by Ctrl-C"),
        pytest.param("on_validation_start", 12, 12, "SIGTERM", id="in the last validation"),
    ],
)
@pytest.mark.slow
def test_a_signal_saves_the_step_and_asks_to_be_started_again(
    tmp_path: Path,
    whole: Path,
    hook: str,
    step: int,
    saved: int,
    name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """B15: Ctrl-C once saved nothing."""
    number = signal.Signals[name]
    before = signal.getsignal(number)
    # Otherwise a checkpoint is made with each validation.
    rarely = ["--trainer.callbacks.every_n_train_steps=null"]
    assert fit(tmp_path / "run", *rarely, *stop(hook, step, name)) == 128 + number
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    said = capsys.readouterr().err
    assert f"stopped by {name}: step {saved} is saved: go on with --ckpt_path {last}" in said
    assert signal.getsignal(number) == before
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "interrupted"
    assert torch.load(last, weights_only=True)["global_step"] == saved
    assert fit(tmp_path / "run", *rarely) == 0
    assert_same(tmp_path / "run", whole)


@pytest.mark.slow
def test_a_second_ctrl_c_stops_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """B15; and the hint names nothing that is not there."""
    before = signal.getsignal(signal.SIGINT)
    again = [*stop("on_train_batch_start", 0, "SIGINT"), *stop("on_after_backward", 0, "SIGINT")]
    assert fit(tmp_path / "run", *again) == 128 + signal.SIGINT
    assert signal.getsignal(signal.SIGINT) == before
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["status"], summary["steps"]) == ("interrupted", 0)
    capsys.readouterr()
    assert main([*FIT, f"--run_dir={tmp_path / 'run'}"]) == 2
    assert "no checkpoint, by --run_dir" in capsys.readouterr().err


@pytest.mark.slow
def test_what_last_and_a_broken_checkpoint_mean(
    tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(whole, run_dir)
    last, best = (run_dir / "checkpoints" / f"{name}.ckpt" for name in ("last", "best"))
    os.utime(best, ns=(0, 0))  # the copy is in no order

    def meant(*args: str) -> str:
        with with_checkpoint_config(["fit", "--config=any.yaml", *args]) as completed:
            return next(arg for arg in completed.args if arg.startswith("--ckpt_path="))

    assert meant(f"--run_dir={run_dir}", "--ckpt_path=last") == f"--ckpt_path={last}"
    assert meant(f"--ckpt_path={run_dir}") == f"--ckpt_path={last}"
    assert meant(f"--run_dir={tmp_path / 'new'}", "--ckpt_path=last") == "--ckpt_path=last"
    assert not capsys.readouterr().err
    last.write_bytes(last.read_bytes()[:-1000])
    for args in ([f"--run_dir={run_dir}", "--ckpt_path=last"], [f"--ckpt_path={last}"]):
        assert meant(*args) == f"--ckpt_path={best}"
        (warning,) = capsys.readouterr().err.splitlines()
        assert f"{last} is not a whole checkpoint" in warning
        assert f"going on from {best}" in warning
    # Other commands are told of one set of weights, and no others will do.
    with (
        pytest.raises(ValueError, match="is not a whole checkpoint"),
        with_checkpoint_config(["test", f"--ckpt_path={last}"]),
    ):
        pass
    best.write_bytes(b"")
    assert fit(run_dir) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: {run_dir} holds no checkpoint to go on from")
    assert main(["fit", f"--config={ROOT / 'configs/quickstart.yaml'}", "--ckpt_path=last"]) == 2
    assert "ckpt_path=last needs --run_dir" in capsys.readouterr().err


def test_a_command_without_a_config_file_is_not_completed_twice(
    tmp_path: Path, whole: Path
) -> None:
    args = ["fit", "--model=SequenceClassifier", "--trainer.callbacks+=stopper.Stop"]
    args += [f"--run_dir={whole}", "--ckpt_path", "last"]
    with with_checkpoint_config(args) as completed:
        assert completed.args == [*args[:-1], str(whole / "checkpoints" / "last.ckpt")]
