"""How many steps a run makes in all: those that its checkpoint has made, and those to come."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import lightning as L

from lightning_posenc.compat.lightning import BATCHES, FIT_LOOP
from lightning_posenc.data.fixed import FixedData
from lightning_posenc.data.saying import say

NO_BATCHES = "there are no training batches: raise trainer.limit_train_batches"
FEW = 100  # steps, in which a model that knows nothing learns little


class Reached(NamedTuple):
    """How far a run had got when its checkpoint was written.

    Args:
        steps: Steps of the optimizer.
        epochs: Epochs that were over.
        batches: Batches that were trained of an epoch that was not.
    """

    steps: int
    epochs: int
    batches: int


def reached(checkpoint: Mapping[str, Any]) -> Reached | None:
    """How far the run of a checkpoint had got; None if it does not say."""
    try:
        loop = checkpoint["loops"][FIT_LOOP]
        epoch = loop["epoch_progress"]["current"]
        batches = loop[BATCHES]["current"]["processed"]
        is_begun = epoch["ready"] > epoch["processed"]
        return Reached(checkpoint["global_step"], epoch["processed"], batches if is_begun else 0)
    except (KeyError, TypeError):
        return None


def has_batches(trainer: L.Trainer) -> bool:
    """Whether an epoch trains on any, where Lightning has counted them or need not."""
    return bool(trainer.num_training_batches and trainer.limit_train_batches)


def total_steps(trainer: L.Trainer, before: Reached | None) -> int | float:
    """The steps of the whole run; infinite if it has no end.

    Lightning's estimate takes all epochs to be as long as they are now. Those of a resumed run's
    past may have been others.

    Args:
        trainer: That fits, with its data.
        before: Where the run goes on; None at its beginning.

    Raises:
        ValueError: If an epoch has no batches.
    """
    estimate = trainer.estimated_stepping_batches
    per_epoch = trainer.num_training_batches
    if not has_batches(trainer):
        raise ValueError(NO_BATCHES)
    if before is None or trainer.max_epochs in (None, -1) or math.isinf(per_epoch):
        return estimate
    every: int = trainer.accumulate_grad_batches
    rest = math.ceil(per_epoch / every)
    to_come = rest * max(trainer.max_epochs - before.epochs, 0)
    if to_come:  # of the first of these epochs, a part is done
        to_come -= min(before.batches // every, rest)
    total = before.steps + to_come
    return total if trainer.max_steps == -1 else min(total, trainer.max_steps)


def say_few_steps(trainer: L.Trainer, data: object, total: float) -> None:
    """Say where the epochs of a small table make too few steps to learn much.

    Args:
        trainer: That fits.
        data: Its data module.
        total: The steps of the whole run.
    """
    if trainer.max_steps == -1 and isinstance(data, FixedData) and total < FEW:
        say(
            f"beware: {trainer.max_epochs} epochs of this data are {total:.0f} steps, few to learn "
            "by: raise trainer.max_epochs, or lower data.batch_size"
        )
