"""Drop the positional encoding in the middle of training."""

import logging
from typing import Any

import lightning as L

from lightning_posenc.checks import MOST_STEPS, whole
from lightning_posenc.positional import Droppable

log = logging.getLogger(__name__)


class DropPositions(L.Callback):
    """Drops every `Droppable` encoding of the model when a step is reached.

    The steps that remain are DroPE's recalibration: the model goes on as NoPE. The checkpoint
    remembers the drop, so a resumed or tested model has no positions either. `StagedLengths` lets
    these steps be of another length: once dropped, no table's end binds.

    Source: Gelberg et al. 2025, "Extending the Context of Pretrained LLMs by Dropping Their
    Positional Embeddings", arXiv:2512.12167, section 4.

    Args:
        at_step: Optimizer steps before the drop, at least 0.

    Raises:
        ValueError: On a negative step, or if the model has no encoding that can be dropped.
    """

    def __init__(self, at_step: int) -> None:
        self.at_step = whole(self, "at_step", at_step, 0, MOST_STEPS)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage == "fit" and not _droppable(pl_module):
            raise ValueError(
                "DropPositions: the model has no encoding that can be dropped; wrap it: "
                "--model.positional=Droppable --model.positional.encoding=RoPE"
            )

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step < self.at_step:
            return
        for encoding in _droppable(pl_module):
            if not encoding.dropped:
                encoding.drop()
                log.info("DropPositions: no positions from step %d on", trainer.global_step)


def _droppable(module: L.LightningModule) -> list[Droppable]:
    return [part for part in module.modules() if isinstance(part, Droppable)]
