"""A run that was stopped early, and is started again, stays as it ended."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping

_KEY = "lightning_posenc_stopped"
_NEVER_STOP = ("Monitor", "ProgressBar", "Checkpoint", "Summary", "WeightAveraging")


class StaysStopped(L.Callback):
    """Ends a fit at once whose checkpoint was written after a callback had asked to stop.

    Lightning keeps no note of that: each restart would train on until the next validation. A run
    whose callbacks or time limit have been changed since goes on, with what is given now: Lightning
    would take an early stopping's patience from the checkpoint.

    Args:
        conditions: What can stop the run, as YAML knows it.
    """

    def __init__(self, conditions: Any) -> None:
        self.conditions = conditions
        self._patience: dict[str, int] = {}

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._patience = {each.state_key: each.patience for each in _early_stopping(trainer)}

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.should_stop:
            checkpoint[_KEY] = self.conditions

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if _KEY in checkpoint and checkpoint[_KEY] == self.conditions:
            trainer.should_stop = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for each in _early_stopping(trainer):
            each.patience = self._patience.get(each.state_key, each.patience)


def conditions(trainer: dict[str, Any]) -> dict[str, Any]:
    """What can stop a run, of its Trainer's options as YAML knows them."""
    callbacks = trainer.get("callbacks") or []
    callbacks = callbacks if isinstance(callbacks, list) else [callbacks]
    return {"max_time": trainer.get("max_time"), "callbacks": [c for c in callbacks if _stops(c)]}


def _stops(callback: Any) -> bool:
    name = str(callback.get("class_path") if isinstance(callback, dict) else callback)
    return not (name.startswith("lightning_posenc.") or name.endswith(_NEVER_STOP))


def _early_stopping(trainer: L.Trainer) -> list[EarlyStopping]:
    return [each for each in trainer.callbacks if isinstance(each, EarlyStopping)]  # type: ignore[attr-defined]
