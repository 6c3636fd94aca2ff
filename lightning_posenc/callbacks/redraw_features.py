"""Draw random features anew while a model is trained."""

from typing import Any

import lightning as L

from lightning_posenc.checks import MOST_STEPS, whole
from lightning_posenc.model import Performer


class RedrawFeatures(L.Callback):
    """Draws the features of every `Performer` anew after each so many optimizer steps.

    The model then fits the softmax that the features stand for, not one draw of them. Which draw it
    is depends on the step alone: a resumed run has the same, and so has every rank.

    Source: Choromanski et al. 2020, "Rethinking Attention with Performers", arXiv:2009.14794,
    section 4.2, "redrawing".

    Args:
        every: Optimizer steps from one draw to the next, at least 1.

    Raises:
        ValueError: If the model has no random features.
    """

    def __init__(self, every: int = 1000) -> None:
        self.every = whole(self, "every", every, most=MOST_STEPS)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage == "fit" and not _performers(pl_module):
            raise ValueError(
                "RedrawFeatures: the model has no random features: set "
                "model.encoder.mixer=Performer"
            )

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        number = trainer.global_step // self.every
        for performer in _performers(pl_module):
            if performer.drawn != number:
                performer.draw(number)


def _performers(module: L.LightningModule) -> list[Performer]:
    return [part for part in module.modules() if isinstance(part, Performer)]
