"""`predictions.jsonl`: what `predict` found."""

import heapq
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from lightning_posenc.callbacks.module_fits import fits
from lightning_posenc.data.batch import Batch, are_ids
from lightning_posenc.data.remembered import RememberedData, in_numbers
from lightning_posenc.modules.beam import Written
from lightning_posenc.modules.classifiers import Predicted
from lightning_posenc.runs import strict_json
from lightning_posenc.runs.tables import log_table

SHOWN = 100  # lines that loggers get too; a table of all would be larger than the run
DIGITS = 6  # of a probability
NO_ROW = -1  # of batches that do not say which rows they hold


class Predictions(BasePredictionWriter):
    """Writes a line of JSON for every row of the data, in its order.

    `{"row": 0, "tokens": […], "prediction": …, "probabilities": …}`: the row's number, from 0; its
    tokens as far as they were read, if they are ids; the class and the probability of each, by name
    where classes have names. Where each token has a class, there are lists of the classes and of
    their probabilities; tagged sentences have one for each of their "words", null beyond the
    length. Of answers that were written, their tokens or their text. Images and recordings in files
    have their "file".

    Several ranks write a file each, which rank 0 puts together in the end. Loggers that take tables
    get the first lines as `tables/predictions`.
    """

    def __init__(self) -> None:
        super().__init__(write_interval="batch")

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if hasattr(pl_module, "with_probabilities"):
            pl_module.with_probabilities = True  # type: ignore[assignment]
        path = _part(trainer, trainer.global_rank)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")

    def write_on_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        if not isinstance(batch, Batch):
            self._write_bare(trainer, pl_module, prediction, batch)
            return
        n_rows, n_tokens = batch.tokens.shape[:2]
        reads_ids = are_ids(batch.tokens)
        lengths = [n_tokens] * n_rows if batch.lengths is None else batch.lengths.tolist()
        classes, probabilities = prediction, None
        if isinstance(prediction, Predicted):
            classes, probabilities = prediction
            probabilities = probabilities.double().cpu().numpy().round(DIGITS).tolist()
        if isinstance(prediction, Written):  # answers of lengths of their own
            found_of_rows: list[Any] = prediction.answers()
            per_token = False
        else:
            found_of_rows, per_token = classes.tolist(), classes.dim() > 1
        data = getattr(trainer, "datamodule", None)
        rows = batch_indices or range(batch_idx * n_rows, (batch_idx + 1) * n_rows)
        with _part(trainer, trainer.global_rank).open("a", encoding="utf-8") as file:
            for place, (row, tokens, found, length) in enumerate(
                zip(rows, batch.tokens, found_of_rows, lengths, strict=True)
            ):
                shares = None if probabilities is None else probabilities[place]
                if per_token:
                    found, shares = found[:length], shares and shares[:length]
                told = (
                    data.predicted(row, found, shares)
                    if isinstance(data, RememberedData)
                    else in_numbers(found, shares)
                )
                said = {"tokens": tokens[:length].tolist()} if reads_ids else {}
                line = {"row": row, **said, **told}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def _write_bare(
        self, trainer: L.Trainer, pl_module: L.LightningModule, prediction: Any, batch: Any
    ) -> None:
        """Of batches of another kind a line holds the prediction alone."""
        if not isinstance(prediction, Tensor) or not prediction.dim():
            fits(self, pl_module, batch)  # which says that it does not
            return
        with _part(trainer, trainer.global_rank).open("a") as file:
            file.writelines(strict_json.text({"prediction": x}) + "\n" for x in prediction.tolist())

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if hasattr(pl_module, "with_probabilities"):
            pl_module.with_probabilities = False  # type: ignore[assignment]
        trainer.strategy.barrier("predictions")
        if not trainer.is_global_zero:
            return
        whole = Path(trainer.default_root_dir, "predictions.jsonl")
        if trainer.world_size > 1:
            _merge([_part(trainer, rank) for rank in range(trainer.world_size)], whole)
        with whole.open(encoding="utf-8") as file:
            first = [json.loads(line) for line in islice(file, SHOWN)]
        cells = [[json.dumps(value) for value in line.values()] for line in first]
        log_table(trainer, "predictions", list(first[0]) if first else [], cells)


def _part(trainer: L.Trainer, rank: int) -> Path:
    of_rank = f".rank{rank}" if trainer.world_size > 1 else ""
    return Path(trainer.default_root_dir, f"predictions{of_rank}.jsonl")


def _merge(parts: Iterable[Path], whole: Path) -> None:
    """Put the ranks' lines into the order of the rows; the last row may be there several times."""
    parts = list(parts)
    with ExitStack() as files, whole.open("w", encoding="utf-8") as out:
        lines = [_numbered(files.enter_context(part.open(encoding="utf-8"))) for part in parts]
        last = NO_ROW
        for row, line in heapq.merge(*lines, key=lambda numbered: numbered[0]):
            if row > last or row == NO_ROW:
                out.write(line)
            last = row
    for part in parts:
        part.unlink()


def _numbered(file: Iterable[str]) -> Iterator[tuple[int, str]]:
    for line in file:
        yield json.loads(line).get("row", NO_ROW), line
