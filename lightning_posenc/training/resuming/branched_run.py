"""A run of its own that begins from another run's checkpoint."""

import sys
from pathlib import Path

import lightning as L
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from lightning_posenc.modules.total_steps import NO_BATCHES, has_batches


class BranchedRun(L.Callback):
    """Says why a new run begins, once it does, and refuses one that has nothing to train.

    Such a one would keep no checkpoint, and so begin from the start when it is started again.

    Args:
        ckpt_path: The checkpoint that the run begins from.
        why: Why it does not go on in the checkpoint's run; "" where nobody asked for that.
    """

    def __init__(self, ckpt_path: Path, why: str = "") -> None:
        self.ckpt_path = ckpt_path
        self.why = why
        self._trains = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._trains = True
        if self.why:  # not before: whoever has made a mistake reads of that alone
            rank_zero_only(print)(self.why, file=sys.stderr)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Look back.

        Raises:
            ValueError: If no batch was to be trained, saying which option to change.
        """
        if not self._trains:
            raise ValueError(
                f"--ckpt_path {self.ckpt_path}: nothing is left to train: the checkpoint is of "
                f"step {trainer.global_step} after {trainer.current_epoch} epochs, and "
                f"{_limit(trainer)}; to evaluate it alone: test --ckpt_path {self.ckpt_path}"
            )


def _limit(trainer: L.Trainer) -> str:
    """What ends the fit, and what to do about it."""
    loop = trainer.fit_loop
    if not has_batches(trainer):
        return NO_BATCHES
    if 0 <= loop.max_steps <= trainer.global_step:
        return f"trainer.max_steps={loop.max_steps}: raise it"
    if loop.max_epochs is not None and 0 <= loop.max_epochs <= trainer.current_epoch:
        return f"trainer.max_epochs={loop.max_epochs}: raise it"
    return (
        "its run was stopped by a callback or trainer.max_time: change what stopped it, or leave "
        "it out"
    )
