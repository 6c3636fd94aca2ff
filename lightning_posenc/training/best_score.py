"""W&B's summary: the best validation score beside the last."""

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_posenc.runs.main_process import is_writer


class BestScore(L.Callback):
    """Tells loggers with a summary `best/<metric>`, the score of the best checkpoint.

    The summary holds the last value of every metric by itself.
    """

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not is_writer(trainer):
            return
        best = {
            f"best/{callback.monitor}": float(callback.best_model_score)
            for callback in trainer.checkpoint_callbacks
            if isinstance(callback, ModelCheckpoint) and callback.best_model_score is not None
        }
        for logger in trainer.loggers:
            summary = getattr(getattr(logger, "experiment", None), "summary", None)
            if best and summary is not None:
                summary.update(best)
