"""`predictions.jsonl`: what `predict` found."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from lightning_posenc import strict_json
from lightning_posenc.callbacks.fitting import fits
from lightning_posenc.callbacks.tables import log_table
from lightning_posenc.data.batch import Batch

SHOWN = 100  # lines that loggers get too; a table of all would be larger than the run


class Predictions(BasePredictionWriter):
    """Writes a line per sequence: its tokens and the predicted class, or classes.

    Each rank writes a file of its own when there are several. Loggers that take tables get the
    first lines as `tables/predictions`.
    """

    def __init__(self) -> None:
        super().__init__(write_interval="batch")
        self._first: list[list[str]] = []

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._path(trainer).parent.mkdir(parents=True, exist_ok=True)
        self._path(trainer).write_text("")
        self._first = []

    def write_on_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        prediction: Tensor,
        batch_indices: Sequence[int] | None,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        if not isinstance(batch, Batch):
            self._write_bare(trainer, pl_module, prediction, batch)
            return
        n_tokens = batch.tokens.shape[1]
        lengths = (
            [n_tokens] * len(batch.tokens) if batch.lengths is None else batch.lengths.tolist()
        )
        with self._path(trainer).open("a") as file:
            for tokens, found, length in zip(
                batch.tokens.tolist(), prediction.tolist(), lengths, strict=True
            ):
                answer = found[:length] if isinstance(found, list) else found
                line: dict[str, Any] = {"tokens": tokens[:length], "prediction": answer}
                file.write(json.dumps(line) + "\n")
                if len(self._first) < SHOWN:
                    self._first.append([json.dumps(value) for value in line.values()])

    def _write_bare(
        self, trainer: L.Trainer, pl_module: L.LightningModule, prediction: Any, batch: Any
    ) -> None:
        """Of batches of another kind a line holds the prediction alone."""
        if not isinstance(prediction, Tensor) or not prediction.dim():
            fits(self, pl_module, batch)  # which says that it does not
            return
        with self._path(trainer).open("a") as file:
            file.writelines(strict_json.text({"prediction": x}) + "\n" for x in prediction.tolist())

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        log_table(trainer, "predictions", ["tokens", "prediction"], self._first)

    @staticmethod
    def _path(trainer: L.Trainer) -> Path:
        rank = f".rank{trainer.global_rank}" if trainer.world_size > 1 else ""
        return Path(trainer.default_root_dir, f"predictions{rank}.jsonl")
