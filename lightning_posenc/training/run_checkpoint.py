"""The two checkpoints that every run keeps: the best and the last."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_posenc.compat.lightning import last_saved_step
from lightning_posenc.compat.torch import changes


class RunCheckpoint(ModelCheckpoint):
    """Keeps one checkpoint of a run, whatever others the user's own callbacks keep.

    A class of its own has a state of its own: a plain `ModelCheckpoint` beside it is no rival.

    The last checkpoint holds the weights that the run ends with. Where another callback changes
    them when training ends (stochastic weight averaging), it is written once more.

    Args:
        folder: Where it is kept.
        filename: Stem of its name.
        monitor: The metric that is lowest in it; None for the last one.
    """

    def __init__(self, folder: Path, filename: str, monitor: str | None) -> None:
        super().__init__(folder, filename, monitor, enable_version_counter=False)
        self._saved: list[tuple[int, int]] = []

    def _save_checkpoint(self, trainer: L.Trainer, filepath: str) -> None:
        super()._save_checkpoint(trainer, filepath)
        self._saved = _versions(trainer.lightning_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        written = last_saved_step(self) == trainer.global_step
        if self.monitor is None and written and self._saved != _versions(pl_module):
            self._save_checkpoint(trainer, self.best_model_path)


def kept_by_run(folder: Path, given: Sequence[L.Callback]) -> list[L.Callback]:
    """The best and the last checkpoint, save where one of the user's own takes the place.

    Args:
        folder: Where the run keeps them.
        given: The user's callbacks.
    """
    own = [callback for callback in given if isinstance(callback, ModelCheckpoint)]
    # The best first: a run that goes on from the last does not save that again. Not by `save_last`,
    # which saves only where the monitored metric has improved.
    return [
        RunCheckpoint(folder, filename, monitor)
        for filename, monitor in (("best", "val/loss"), ("last", None))
        if not any(_takes_place_of(each, folder, filename) for each in own)
    ]


def _takes_place_of(given: ModelCheckpoint, folder: Path, filename: str) -> bool:
    """Whether a user's own checkpoint is kept where the run would keep one.

    Args:
        given: The user's.
        folder: Where the run keeps its own.
        filename: Stem of the run's.
    """
    there = given.dirpath is None or Path(given.dirpath).resolve() == folder.resolve()
    names = [given.filename, given.CHECKPOINT_NAME_LAST if given.save_last else None]
    return there and filename in names


def _versions(module: Any) -> list[tuple[int, int]]:
    """What changes when a parameter does, without reading any."""
    return [(parameter.data_ptr(), changes(parameter)) for parameter in module.parameters()]
