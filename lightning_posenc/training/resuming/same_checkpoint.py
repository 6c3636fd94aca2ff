"""Ranks that go on from different checkpoints are stopped before they train."""

from pathlib import Path

import lightning as L


class SameCheckpoint(L.Callback):
    """Compares the checkpoint that each rank found with rank 0's.

    They differ where nodes do not share a disk: Lightning would start some ranks afresh, and wait
    for ever for the others, or train two models as if they were one.

    Args:
        ckpt_path: The checkpoint that this rank goes on from, if there is one.
    """

    def __init__(self, ckpt_path: Path | None) -> None:
        self.ckpt_path = ckpt_path

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Compare.

        Raises:
            ValueError: If the ranks differ.
        """
        ours = None if self.ckpt_path is None else str(self.ckpt_path)
        theirs = trainer.strategy.broadcast(ours)
        if ours != theirs:
            raise ValueError(
                f"rank {trainer.global_rank} goes on from {ours or 'no checkpoint'}, rank 0 from "
                f"{theirs or 'none'}: put the run directory on a disk that all nodes share"
            )
