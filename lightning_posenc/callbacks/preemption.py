"""Stop at SIGTERM, with a checkpoint of the step just made."""

import signal
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException


class Preemption(Checkpoint):
    """Ends a fit that was sent SIGTERM after its next step, once that is saved.

    Lightning's own handler makes the ranks wait for each other in the middle of whatever each is
    doing, and then stops every one where it is. Here the ranks agree after a step, whichever of
    them was sent the signal. A validation in progress is finished first, and one step made.

    Args:
        checkpoint: Where to save.
    """

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        self._received = False
        self._saved: str | None = None  # to say where, once it is

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        def receive(*_: Any) -> None:
            if not self._received and (launcher := trainer.strategy.launcher) is not None:
                launcher.kill(signal.SIGTERM)
            self._received = True

        # After Lightning's, which puts back what was there before when the fit is over.
        trainer._signal_connector._register_signal(signal.SIGTERM, receive)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if not trainer.fit_loop._should_accumulate():
            self._save_if_received(trainer)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._stop_if_saved()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop_if_saved()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._save_if_received(trainer)
        self._stop_if_saved()

    def _save_if_received(self, trainer: L.Trainer) -> None:
        received = self._received
        if trainer.world_size > 1:
            received = trainer.strategy.reduce_boolean_decision(received, all=False)
        if not received or self._saved is not None:
            return
        trainer.save_checkpoint(self.checkpoint)
        self._saved = f": step {trainer.global_step} is saved"

    def _stop_if_saved(self) -> None:
        if self._saved is not None:  # and the loggers know of the step
            raise SIGTERMException(f"stopped by SIGTERM{self._saved}")
