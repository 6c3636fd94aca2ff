"""Texts with a class each: any file with a text and a label column, or a dataset on the Hub."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_posenc.checks import is_a, wrong
from lightning_posenc.data.batch import Batch
from lightning_posenc.data.corpus import CorpusData
from lightning_posenc.data.finite import FiniteDataset
from lightning_posenc.data.sources import decodable, load_rows
from lightning_posenc.data.tokenised import Tokens, laid_out

if TYPE_CHECKING:
    from datasets import Dataset


class LabelledTexts(FiniteDataset):
    """Texts of at most T tokens, padded to T with token 0; an empty text is one token 0.

    Args:
        tokens: ids of all texts.
        labels: (N,) int64, class of each text.
        items: (n,) int64, which of the texts belong to this dataset, in its order.
        length: T; of a longer text the first T tokens are kept.
    """

    def __init__(self, tokens: Tokens, labels: Tensor, items: Tensor, length: int) -> None:
        self.ids = tokens.ids
        self.sizes = tokens.sizes
        self.starts = np.cumsum(tokens.sizes) - tokens.sizes
        self.labels = labels
        self.items = items
        self.length = length

    def __len__(self) -> int:
        return len(self.items)

    def __getitems__(self, indices: list[int]) -> Batch:
        items = self.items[indices]
        tokens = np.zeros((len(items), self.length), dtype=np.int64)
        lengths = self.sizes[items.numpy()].clip(max=self.length)
        for row, start, length in zip(tokens, self.starts[items.numpy()], lengths, strict=True):
            row[:length] = self.ids[start : start + length]
        return Batch(
            torch.from_numpy(tokens),
            self.labels[items],
            lengths=torch.from_numpy(lengths).clamp(min=1),
        )


class TextClassificationData(CorpusData):
    """A class for every text, cut or padded to a length.

    Training goes through all texts, pass after pass, each in an order of its own. Validation reads
    the source's validation split; without one, `val_fraction` of the training texts, drawn once
    and for any seed. The test reads the test split if its labels are given, and otherwise the
    validation texts, cut to each of `eval_lengths`. Ranks that cannot share them equally leave out
    the last few. Tokenised text is cached where the `datasets` library caches.

    Classes are the different values of the label column over all splits, in ascending order, or
    those that a dataset of the Hub names.

    Args:
        path: a .parquet, .json, .jsonl or .csv file, a folder of them, or a dataset on the Hub
            such as ag_news.
        subset: which of a Hub dataset's subsets.
        text_column: which column holds the text.
        label_column: which column holds the class, an integer or a name.
        vocabulary: `bytes` (256), `chars` (those that occur in the whole corpus, sorted), `bpe`
            (byte-level pieces, trained once on the training split of the source, before any of it
            goes to validation), or the path of a tokenizer's JSON file.
        vocabulary_size: number of pieces of `bpe`, at least 256.
        train_length: T, tokens a text is cut or padded to.
        eval_lengths: lengths to cut the texts of the test to; None for `train_length`.
        val_fraction: share of the training texts for validation, between 0 and 1.
        batch_size: texts in a training batch over all ranks; a multiple of their number.
        steps_per_epoch: training batches in an epoch; None for as many as one pass fills.
        eval_batch_size: texts in an evaluation batch over all ranks; None for `batch_size`.
        seed: seed of the order of the texts; None for the run's own.
        num_workers: worker processes a loader.

    Raises:
        ValueError: if a number is out of range, a label is missing, or there is too little text.
        FileNotFoundError: if a file does not exist.
    """

    def __init__(
        self,
        path: str | None = None,
        subset: str | None = None,
        text_column: str = "text",
        label_column: str = "label",
        vocabulary: str = "bytes",
        vocabulary_size: int = 4096,
        train_length: int = 128,
        eval_lengths: list[int] | None = None,
        val_fraction: float = 0.1,
        batch_size: int = 32,
        steps_per_epoch: int | None = None,
        eval_batch_size: int | None = None,
        seed: int | None = None,
        num_workers: int = 0,
    ) -> None:
        super().__init__(
            path,
            subset,
            text_column,
            vocabulary,
            vocabulary_size,
            train_length=train_length,
            eval_lengths=eval_lengths,
            val_fraction=val_fraction,
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
            eval_batch_size=eval_batch_size,
            seed=seed,
            num_workers=num_workers,
        )
        self.label_column = is_a(self, "label_column", label_column, str)
        if label_column == text_column:
            raise wrong(self, "label_column", label_column, "be another column than text_column")
        self._texts_of: dict[str, tuple[Tokens, Tensor, Tensor]] = {}

    def rows(self) -> "dict[str, Dataset]":
        columns = {"text_column": self.text_column, "label_column": self.label_column}
        splits = load_rows(self.path, self.subset, columns)
        if "test" in splits and all(map(_is_missing, self._values(splits["test"]))):
            del splits["test"]  # a benchmark that keeps its answers to itself
        return splits

    @cached_property
    def class_names(self) -> list[str]:
        """Names of the classes, in the order of their numbers."""
        return [str(value) for value in self._classes]

    @property
    def n_classes(self) -> int:
        """Number of classes; known before the text is prepared."""
        return len(self._classes)

    def prepare_data(self) -> None:
        """Load and tokenise once a machine; the `datasets` library caches the result."""
        _ = self._classes
        self._encoded(self.rows())

    def setup(self, stage: str | None = None) -> None:
        """Read the tokens from the cache.

        Raises:
            ValueError: if there are too few texts.
        """
        if self._texts_of:
            return
        splits = self.rows()
        tokens = {name: laid_out(rows) for name, rows in self._encoded(splits).items()}
        labels = {name: self._numbers(rows) for name, rows in splits.items()}
        items = {name: torch.arange(len(rows)) for name, rows in splits.items()}
        if "val" not in splits:
            n = len(splits["train"])
            if n < 2:
                raise ValueError(f"data.path={self.path} has {n} text(s): give at least 2")
            items["train"], items["val"] = self._held_out(n)
            tokens["val"], labels["val"] = tokens["train"], labels["train"]
        self._texts_of = {name: (tokens[name], labels[name], items[name]) for name in items}
        self._texts_of.setdefault("test", self._texts_of["val"])

    def _dataset(self, split: str, length: int) -> LabelledTexts:
        return LabelledTexts(*self._texts_of[split], length)

    def _names(self, rows: "Dataset") -> list[str] | None:
        """Names of the classes, if the label column holds their numbers and names them."""
        from datasets import ClassLabel

        feature = rows.features[self.label_column]
        return list(feature.names) if isinstance(feature, ClassLabel) else None

    def _values(self, rows: "Dataset") -> NDArray[Any]:
        """The label column as it is, (N,)."""
        with decodable(self.path):
            values = list(rows[self.label_column])
        if self._names(rows) is not None:
            values = [None if value is None or value < 0 else value for value in values]
        return np.array(values, dtype=object)

    @cached_property
    def _classes(self) -> list[Any]:
        """The values of the label column in the order of their numbers."""
        splits = self.rows()
        values: set[Any] = set()
        for name, rows in splits.items():
            found = self._values(rows)
            missing = [row for row, value in enumerate(found) if _is_missing(value)]
            if missing:
                raise ValueError(
                    f"data.path={self.path}: {len(missing)} of {len(found)} {name} texts have no "
                    f"label in column {self.label_column!r}, the first of them row {missing[0]} "
                    "(counted from 0): label them or take them out"
                )
            values |= set(found)
        names = self._names(splits["train"])
        if names is not None:
            return names
        kinds = {type(value) for value in values}
        if kinds not in ({int}, {str}, {bool}):
            raise ValueError(
                f"data.path={self.path}: the labels in column {self.label_column!r} are of type "
                f"{', '.join(sorted(kind.__name__ for kind in kinds))}: they must all be integers "
                "or all be names; set data.label_column if another holds the class"
            )
        return sorted(values)

    def _numbers(self, rows: "Dataset") -> Tensor:
        """Number of the class of each text, (N,) int64."""
        values = self._values(rows)
        if self._names(rows) is not None:
            return torch.tensor(values.astype(np.int64))
        number = {value: n for n, value in enumerate(self._classes)}
        return torch.tensor([number[value] for value in values])


def _is_missing(value: Any) -> bool:
    return value is None or value == "" or value != value  # the last: not a number
