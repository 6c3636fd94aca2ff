"""A fit whose loss is no number any more stops, and overwrites nothing that was good."""

from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor


class Diverged(ValueError):
    """Training went out of bounds; the message says where, and what can be gone on from."""


class Divergence(L.Callback):
    """Stops a fit when its loss is not finite, or a weight that is to be saved.

    The loss of every batch counts. On the CPU and on one process it is looked at after each; else
    with each logging step, validation and checkpoint, together on all ranks, since a look makes a
    GPU wait and ranks talk. A checkpoint is written only if every trained weight is finite too.

    Gradients are not judged. Clipping and the scaler of 16-mixed may pass over one that is not
    finite; if they do not, the weights take it on, and the next loss or checkpoint shows it.

    Raises:
        Diverged: Naming the step and the newest checkpoint, on all ranks.
    """

    def __init__(self) -> None:
        self._bad: Tensor | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._bad = None

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if isinstance(loss, Tensor):
            bad = ~loss.detach().isfinite().all()
            self._bad = bad if self._bad is None else self._bad | bad
        every: int = getattr(trainer, "log_every_n_steps")  # noqa: B009 (set at run time)
        cheap = trainer.world_size == 1 and pl_module.device.type == "cpu"
        if cheap or (every > 0 and trainer.global_step % every == 0):
            self._check(trainer, getattr(pl_module, "terms", {}))

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self._check(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._check(trainer)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self._check(trainer)
            if _anywhere(trainer, not _finite(pl_module)):
                raise _diverged(trainer, "a weight")

    def _check(self, trainer: L.Trainer, terms: dict[str, Tensor] | None = None) -> None:
        if _anywhere(trainer, self._bad is not None and bool(self._bad)):
            bad = [name for name, term in (terms or {}).items() if not term.isfinite().all()]
            raise _diverged(trainer, bad[0] if len(bad) == 1 else "the loss")


def _finite(module: L.LightningModule) -> bool:
    """Whether every trained weight is, of the shards that this rank has."""
    trained = [p.detach() for p in module.parameters() if p.requires_grad]
    local = [p.to_local() if hasattr(p, "to_local") else p for p in trained]
    return not local or bool(torch.stack([p.isfinite().all() for p in local]).all())


def _anywhere(trainer: L.Trainer, here: bool) -> bool:
    if trainer.world_size == 1:
        return here
    return trainer.strategy.reduce_boolean_decision(here, all=False)


def _diverged(trainer: L.Trainer, what: str) -> Diverged:
    folders = {
        Path(callback.dirpath)
        for callback in trainer.checkpoint_callbacks
        if isinstance(callback, ModelCheckpoint) and callback.dirpath
    }
    written = [path for folder in folders for path in folder.glob("*.ckpt")]
    newest = max(written, key=lambda path: path.stat().st_mtime_ns, default=None)
    good = f"the last good checkpoint is {newest}" if newest else "no checkpoint was written yet"
    helps = "lower the learning rate, warm up longer, clip gradients or initialise smaller"
    if (step := trainer.global_step) <= 1:  # nothing was learned before
        helps = "look for what divides by 0 or overflows, or initialise smaller"
    return Diverged(f"diverged: {what} is not finite at step {step}: {helps}; {good}")
