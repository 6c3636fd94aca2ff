"""A loss that is not finite stops the run in one line, and no checkpoint holds it (kind 5, B25)."""

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.optim import SGD, AdamW

from lightning_posenc.callbacks import Diverged, Divergence, RunSummary
from lightning_posenc.cli import main
from lightning_posenc.data import Batch, SyntheticData
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import LanguageModel, SequenceClassifier
from lightning_posenc.tasks import IGNORE, PositionPattern

ROOT = Path(__file__).parents[2]


class Planted(SequenceClassifier):
    """Its loss, or a weight, is spoilt in a given step."""

    spoilt: str = "loss"
    at_step: int = 4

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        if self.trainer.global_step == self.at_step and self.spoilt == "loss":
            return loss * math.nan
        return loss

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        if self.trainer.global_step == self.at_step and self.spoilt == "gradient":
            next(self.head.parameters()).grad.fill_(math.inf)  # type: ignore[union-attr]


def fit(module: L.LightningModule, root: Path, **options: Any) -> L.Trainer:
    saves = ModelCheckpoint(root, "{step}", save_top_k=-1, every_n_train_steps=1)
    trainer = L.Trainer(
        accelerator="cpu", devices=1, max_steps=8, default_root_dir=root, logger=False,
        callbacks=[RunSummary(), Divergence(), saves], enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False, limit_val_batches=0, **options,
    )  # fmt: skip
    trainer.fit(module, SyntheticData(train_length=8, batch_size=4, steps_per_epoch=20))
    return trainer


@pytest.mark.parametrize("spoilt", ["loss", "gradient"])
def test_it_stops_before_anything_spoilt_is_saved(spoilt: str, tmp_path: Path) -> None:
    module = Planted(
        EncoderSpec(16, 2, 1), PositionPattern().vocab_size, 4, optimizer=partial(AdamW, lr=1e-3)
    )
    module.spoilt = spoilt
    with pytest.raises(Diverged, match=r"not finite at step 5.*step=4\.ckpt") as caught:
        fit(module, tmp_path)
    assert "\n" not in str(caught.value)
    saved = sorted(tmp_path.glob("*.ckpt"))
    assert [path.name for path in saved] == [f"step={n}.ckpt" for n in (1, 2, 3, 4)]
    for path in saved:
        weights = torch.load(path, weights_only=False)["state_dict"].values()
        assert all(weight.isfinite().all() for weight in weights)
    assert json.loads((tmp_path / "summary.json").read_text())["status"] == "diverged"


def test_a_clipped_gradient_that_is_not_finite_is_seen_in_the_weights(tmp_path: Path) -> None:
    """Clipping by a norm that is infinite makes inf/inf, NaN."""

    class Overflowing(Planted):
        def on_before_optimizer_step(self, optimizer: Any) -> None:
            return

        def on_after_backward(self) -> None:
            if self.trainer.global_step == 2:
                next(self.head.parameters()).grad.fill_(math.inf)  # type: ignore[union-attr]

    module = Overflowing(
        EncoderSpec(16, 2, 1), PositionPattern().vocab_size, 4, optimizer=partial(SGD, lr=1e-3)
    )
    module.at_step = -1
    with pytest.raises(Diverged, match=r"a weight is not finite at step 3.*step=2\.ckpt"):
        fit(module, tmp_path, gradient_clip_val=1.0)


def test_a_batch_without_targets_is_no_divergence(tmp_path: Path) -> None:
    """review.md 7.12: a masked language model may hide nothing of a short batch."""
    torch.manual_seed(0)
    module = LanguageModel(
        EncoderSpec(16, 2, 1), PositionPattern().vocab_size, "masked", mask_share=1e-6
    )
    before = [p.detach().clone() for p in module.parameters()]
    trainer = fit(module, tmp_path)
    assert trainer.global_step == 8
    assert module._hide(Batch(*[torch.zeros(2, 3, dtype=torch.int64)] * 2), 0)[1].eq(IGNORE).all()
    assert all(p.isfinite().all() for p in module.parameters())
    assert len(before) == len(list(module.parameters()))


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = [
        "fit", f"--config={ROOT / 'configs' / 'quickstart.yaml'}", "--model.optimizer.lr=1e6",
        "--model.optimizer.weight_decay=1e6",
        "--model.schedule=null", "--data.steps_per_epoch=4", "--data.eval_samples=4",
        "--data.batch_size=4", "--trainer.log_every_n_steps=1",
        "--trainer.enable_progress_bar=false",
        "--trainer.enable_model_summary=false", f"--run_dir={tmp_path}",
    ]  # fmt: skip
    assert main(args) == 2
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error:")]
    assert "diverged: the loss is not finite at step" in line
    assert "no checkpoint was written yet" in line

    def strict(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    summary = json.loads((tmp_path / "summary.json").read_text(), parse_constant=strict)
    assert summary["status"] == "diverged"
    assert not list(tmp_path.rglob("*.ckpt"))


def test_numbers_that_are_not_finite_are_null(tmp_path: Path) -> None:
    summary = RunSummary()
    summary._metrics = {"val/loss": math.nan, "val/perplexity": math.inf, "val/acc": 0.5}
    summary._write(L.Trainer(default_root_dir=tmp_path, logger=False), "running")
    found = json.loads((tmp_path / "summary.json").read_text())["metrics"]
    assert found == {"val/loss": None, "val/perplexity": None, "val/acc": 0.5}
