"""What training costs: seconds, tokens, operations, joules."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch

from lightning_posenc.cli import main
from lightning_posenc.data import Batch
from lightning_posenc.training.spent import FORWARD_AND_BACKWARD, LONGEST, Spent, energy_meter

QUICK = [
    "fit", "--config", "quickstart", "--data.steps_per_epoch=6", "--data.eval_samples=32",
    "--data.batch_size=8", "--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu",
    "--trainer.enable_model_summary=false", "--trainer.log_every_n_steps=1",
    "--model.encoder={d_model: 16, n_heads: 2, n_layers: 2}",
]  # fmt: skip


def summary(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return found


def products(T: int, D: int, n_layers: int, n_classes: int) -> int:
    """Operations of the matrix products of a forward pass of one sequence, counted by hand."""
    projections = 4 * 2 * T * D * D
    attention = 2 * 2 * T * T * D
    feed_forward = 2 * 2 * T * D * 4 * D
    return n_layers * (projections + attention + feed_forward) + 2 * D * n_classes


@pytest.mark.slow
def test_a_run_says_what_it_took_over_restarts_too(tmp_path: Path) -> None:
    run = tmp_path / "r"
    assert main([*QUICK, f"--run_dir={run}", "--trainer.max_epochs=1"]) == 0
    first = summary(run)
    assert first["train_tokens"] == 6 * 8 * 32
    assert 0 < first["train_seconds"] <= first["seconds"]
    assert first["train_flops"] == pytest.approx(
        FORWARD_AND_BACKWARD * 48 * products(32, 16, 2, 4), rel=0.02
    )
    assert "train_joules" not in first
    more = ["--trainer.max_epochs=2", "--ckpt_path=last"]
    assert main([*QUICK, f"--run_dir={run}", *more]) == 0
    second = summary(run)
    assert second["train_tokens"] == 2 * first["train_tokens"]
    assert second["train_flops"] == pytest.approx(2 * first["train_flops"])
    assert second["train_seconds"] > first["train_seconds"]


@pytest.mark.parametrize(("length", "asked"), [(LONGEST, 1), (LONGEST + 1, 0)])
def test_a_long_sequence_is_not_run_for_an_estimate(length: int, asked: int) -> None:
    """All of its T × T logits are written out: that might take more memory than training did."""
    calls: list[int] = []

    class Counting(L.LightningModule):
        def score(self, batch: Batch, index: int) -> None:
            calls.append(batch.tokens.shape[1])

    spent, tokens = Spent(), torch.zeros(2, length, dtype=torch.long)
    spent.add(Batch(tokens, tokens), 1)
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    spent.end(trainer, Counting())
    assert calls == [length] * asked
    assert spent.found()["train_tokens"] == 2 * length


def test_what_is_no_batch_of_ours_is_not_counted() -> None:
    spent = Spent()
    spent.add([torch.zeros(2, 3)], 1)
    assert spent.found() == {}
    tokens = torch.zeros(2, 3, dtype=torch.long)
    spent.add(Batch(tokens, tokens), 4)
    assert spent.found()["train_tokens"] == 24
    image = torch.zeros(2, 1, 8, 8)
    spent.add(Batch(image, tokens), 4)
    assert spent.found()["train_tokens"] == 24


def test_joules_are_read_where_they_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = iter((5000, 6000, 9500))  # millijoules
    fake = SimpleNamespace(
        nvmlInit=lambda: None, nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: next(counted),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="7f")
    )
    assert energy_meter(torch.device("cpu")) is None
    spent = Spent()
    spent.start(torch.device("cuda"))
    state = spent.state()
    assert state is not None
    assert state["joules"] == 3.5
    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace())
    assert energy_meter(torch.device("cuda")) is None


def test_what_was_spent_before_may_be_unknown() -> None:
    """A checkpoint of an earlier release, or of seeds that were trained as one, says nothing."""
    spent = Spent()
    spent.load(None)
    tokens = torch.zeros(2, 3, dtype=torch.long)
    spent.start(torch.device("cpu"))
    spent.add(Batch(tokens, tokens), 1)
    assert spent.found() == {}
    assert spent.state() is None
    assert Spent().state() == dict.fromkeys(("seconds", "tokens", "numbers", "joules"), 0.0)
