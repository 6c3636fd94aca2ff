"""Stop at SIGTERM or Ctrl-C, with a checkpoint of the step just made."""

import signal
import sys
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException

from lightning_posenc.compat.lightning import accumulates, handle_signal
from lightning_posenc.runs.run_directory import how_to_go_on


class Stopped(SIGTERMException):
    """A fit was stopped by a signal, after it had saved its step."""

    def __init__(self, number: signal.Signals, message: str) -> None:
        super().__init__(message)
        self.number = number


class Preemption(Checkpoint):
    """Ends a fit that was sent SIGTERM, or SIGINT by Ctrl-C, after its next step, once that is
    saved. A second Ctrl-C ends it at once.

    Lightning's own handler makes the ranks wait for each other in the middle of whatever each is
    doing, and then stops every one where it is. Here the ranks agree after a step, whichever of
    them was sent the signal. A validation in progress is finished first, and one step made.

    Args:
        checkpoint: Where to save, in the run directory's folder of checkpoints.
    """

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        self._received: signal.Signals | None = None
        self._saved: str | None = None  # to say where, once it is

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        def terminate(*_: Any) -> None:
            if self._received is None and (launcher := trainer.strategy.launcher) is not None:
                launcher.kill(signal.SIGTERM)
            self._received = self._received or signal.SIGTERM

        def interrupt(*_: Any) -> None:
            # A terminal tells every rank. Rank 0 ends all of them, if it is to be at once.
            if not trainer.is_global_zero:
                self._received = self._received or signal.SIGINT
            elif self._received is not None:
                raise KeyboardInterrupt
            else:
                self._received = signal.SIGINT
                print("\ninterrupted: saving the next step; again to stop at once", file=sys.stderr)

        # After Lightning's, which puts back what was there before when the fit is over.
        handle_signal(trainer, signal.SIGTERM, terminate)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # a shell's background job
            handle_signal(trainer, signal.SIGINT, interrupt)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if not accumulates(trainer):
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
        if not _any(trainer, self._received is not None) or self._saved is not None:
            return
        terminated = _any(trainer, self._received == signal.SIGTERM)
        self._received = signal.SIGTERM if terminated else signal.SIGINT
        trainer.save_checkpoint(self.checkpoint)
        run_dir = self.checkpoint.parent.parent
        self._saved = f": step {trainer.global_step} is saved: go on with {how_to_go_on(run_dir)}"

    def _stop_if_saved(self) -> None:
        if self._saved is not None:  # and the loggers know of the step
            assert self._received is not None
            raise Stopped(self._received, f"stopped by {self._received.name}{self._saved}")


def _any(trainer: L.Trainer, decision: bool) -> bool:
    """Whether any rank decides so."""
    if trainer.world_size == 1:
        return decision
    return trainer.strategy.reduce_boolean_decision(decision, all=False)
