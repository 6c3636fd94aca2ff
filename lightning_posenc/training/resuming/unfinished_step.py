"""A checkpoint written after a batch, before Lightning has finished with that step."""

from typing import Any

import lightning as L

from lightning_posenc.compat.lightning import (
    BATCHES,
    FIT_LOOP,
    VALIDATION,
    metrics_due,
    validates_now,
)

ROW = "lightning_posenc_row"


class UnfinishedStep(L.Callback):
    """Has a resumed run finish the step of its checkpoint: log its metrics and validate.

    Lightning goes on with the next batch, as if the rest of the step had been done. But a run that
    was stopped there lacks its metrics, and with the validation perhaps the best checkpoint. So the
    checkpoint holds the row of metrics to come, under `ROW`; and where a validation was due, what
    makes Lightning finish one that was interrupted, of which nothing was done.
    """

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        progress = checkpoint["loops"][FIT_LOOP]
        batches, validation = progress[BATCHES], progress[VALIDATION]
        after_batch = batches["total"]["completed"] == batches["total"]["processed"] - 1
        if after_batch and (metrics := metrics_due(trainer)) is not None:
            checkpoint[ROW] = {"epoch": trainer.current_epoch} | metrics
        if after_batch and validates_now(trainer):
            for count in ("total", "current"):
                batches[count]["completed"] += 1
                validation[count] = dict.fromkeys(validation[count], 0)
            validation["total"] |= {"ready": 1, "started": 1}
            validation["is_last_batch"] = False
        else:
            # No trace of an earlier one that was finished so.
            total = validation["total"]
            total["ready"] = total["started"] = total["processed"]
