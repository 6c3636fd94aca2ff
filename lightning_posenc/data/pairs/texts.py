"""Texts and what they are to become: translations, summaries, answers.

Shapes: B pairs, S tokens of a source, A of an answer, V token ids of answers.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lightning_posenc.checks import is_a, whole, wrong
from lightning_posenc.data.batch import Batch
from lightning_posenc.data.buckets import InBuckets
from lightning_posenc.data.fixed import Cut, FixedDataset
from lightning_posenc.data.meaning import digest
from lightning_posenc.data.text.own_splits import OwnSplitsData
from lightning_posenc.data.text.reading import decodable
from lightning_posenc.data.text.tokenised import Tokens, laid_out, nothing, rectangle, tokenised
from lightning_posenc.tasks import IGNORE

if TYPE_CHECKING:
    from datasets import Dataset

Pair = tuple[Tokens, Tokens]


class TextPairData(InBuckets, OwnSplitsData):
    """Pairs of texts, of which one is read and the other written; both of one vocabulary.

    Training goes through all pairs, pass after pass. Splits are those of `TextClassificationData`:
    without its own, validation has `val_fraction` of the training pairs, drawn once and for any
    seed, and the test what validation has. An answer ends with token V - 1, one more than the
    vocabulary has, unless it was cut. A prediction needs no answers.

    Args:
        path: a .csv, .tsv, .json, .jsonl or .parquet file, a folder of them, or a dataset on the
            Hub.
        text_column: which column holds what is read. A column within another is named with a point,
            `translation.en`, as the Hub's translations are.
        target_column: which column holds what is written.
        answer_length: A, tokens that an answer is cut to, the end included; None for as many as the
            source, one more for the end.
        options: those of `OwnSplitsData`, and `bucket`, which sorts by both lengths; `train_length`
            and `eval_lengths` cut the sources.

    Raises:
        ValueError: if a number is out of range, a pair lacks a side, or there are too few.
        FileNotFoundError: if a file does not exist.
    """

    def __init__(
        self,
        path: str | None = None,
        *,
        text_column: str = "source",
        target_column: str = "target",
        answer_length: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(path, text_column=text_column, **options)
        self.target_column = is_a(self, "target_column", target_column, str)
        if target_column == text_column:
            raise wrong(self, "target_column", target_column, "be another column than text_column")
        self.answer_length = answer_length
        if answer_length is not None:
            whole(self, "answer_length", answer_length)
        self._found: dict[bool, dict[str, Pair]] = {}  # with or without what is to be predicted

    @property
    def n_classes(self) -> int:
        """V, tokens of answers, the end among them."""
        return self.vocab_size + 1

    def options(self) -> dict[str, Any]:
        return {
            "target_column": self.target_column,
            "answer_length": self.answer_length,
            **super().options(),
        }

    def take_over(self, meaning: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        before = self._vocabulary
        super().take_over(meaning, options)
        if self._vocabulary != before:
            self._found = {}

    def rows(self) -> "dict[str, Dataset]":
        """The pairs of each split."""
        columns = {"text_column": self.text_column, "target_column": self.target_column}
        optional = ("target_column",) if self._predicts else ()
        return self._load(columns, optional)

    def prepare_data(self) -> None:
        """Load and tokenise once a machine; the `datasets` library caches the result."""
        self._all_pairs()

    def setup(self, stage: str | None = None) -> None:
        """Read the tokens from the cache.

        Raises:
            ValueError: if there are too few pairs.
        """
        found = self._all_pairs()
        if not self._evaluates_other and "val" not in found:
            n = len(found["train"][0].sizes)
            if n < 2:
                raise ValueError(f"data.path={self.path} has {n} pair(s): give at least 2")
        self._say_what_is_read(stage)

    def printed_answer(self, ids: list[int]) -> str:
        """The text of an answer without its end."""
        return self.decode(ids)

    def predicted(self, row: int, classes: Any, probabilities: Any) -> dict[str, Any]:
        if not isinstance(classes, list):
            return super().predicted(row, classes, probabilities)
        return {"prediction": self.printed_answer(classes)}

    def _all_pairs(self) -> dict[str, Pair]:
        """The tokens of both sides of each split, read once; of answers that are predicted none."""
        found = self._found.setdefault(self._predicts, {})
        if not found:
            splits = self.rows()
            if self._predicts:
                splits = {
                    name: rows.select_columns(self.text_column) for name, rows in splits.items()
                }
            for name, rows in splits.items():
                self._check_sides(name, rows)
            for name, sources in self._encoded(splits).items():
                found[name] = laid_out(sources), self._answers(splits[name])
        return found

    def _answers(self, rows: "Dataset") -> Tokens:
        if self._predicts:
            return nothing(len(rows))
        with decodable(self.path):
            return laid_out(tokenised(rows, self.target_column, self.vocabulary))

    def _check_sides(self, name: str, rows: "Dataset") -> None:
        for column in rows.column_names:
            texts = rows[column]
            empty = [n for n, text in enumerate(texts) if not text]
            if empty:
                raise ValueError(
                    f"data.path={self.path_of(name)}: {len(empty)} of {len(texts)} {name} pairs "
                    f"have nothing in column {column!r}, the first of them row {empty[0]} (counted "
                    "from 0): fill them in or take them out"
                )

    def _characters(self, rows: "Dataset") -> set[str]:
        columns = rows.column_names
        return set().union(*(self._characters_of(rows, column) for column in columns))

    def _corpus(self) -> tuple[object, Iterable[dict]]:
        mark, train = super()._corpus()
        return (mark, self.target_column), train

    def _texts(self, rows: Iterable[dict]) -> Iterator[str]:
        with decodable(self.path):
            for row in rows:
                yield row[self.text_column] or ""
                yield row[self.target_column] or ""

    def _dataset(self, split: str, length: int) -> "PairedTexts":
        name, items = self._items(split)
        most = length + 1 if self.answer_length is None else self.answer_length
        return PairedTexts(*self._all_pairs()[name], items, length, most, self.n_classes - 1)

    def _items(self, split: str) -> tuple[str, Tensor]:
        """Which of the source's splits is read, and which of its pairs."""
        found = self._all_pairs()
        return self._rows_of(split, {name: len(s.sizes) for name, (s, _) in found.items()})

    def _extent(self, split: str) -> str:
        name, items = self._items(split)
        n = f"{len(items):,} pairs of {self.path_of(name)}"
        held_out = name == "train" and split != "predict" and not self._evaluates_other
        return f"the {n} that training left out" if held_out else f"all {n}"


class PairedTexts(FixedDataset):
    """Pairs of texts, cut; a batch is as wide on either side as its longest text.

    Args:
        sources: ids of all sources.
        answers: ids of all answers.
        items: (n,) int64, which of the pairs belong to this dataset, in its order.
        length: S; of a longer source the first S tokens are kept.
        most: A; of an answer that is longer with its end, the first A tokens are.
        end: token that ends an answer.
    """

    def __init__(
        self, sources: Tokens, answers: Tokens, items: Tensor, length: int, most: int, end: int
    ) -> None:
        self.sources = sources
        self.answers = answers
        self.starts = sources.starts, answers.starts
        self.items = items
        self.length = length
        self.most = most
        self.end = end

    def __len__(self) -> int:
        return len(self.items)

    def lengths(self) -> Tensor:
        """(n, 2) int64, tokens of each source and of each answer."""
        rows = self.items.numpy()
        sides = (self.sources, self.length), (self.answers, self.most)
        return torch.stack(
            [torch.from_numpy(side.sizes[rows].clip(max=most)) for side, most in sides], dim=1
        )

    def content(self) -> str:
        (ids, sizes), (theirs, those) = self.sources, self.answers
        return digest(ids, sizes, theirs, those, self.items.numpy())

    def cut(self) -> Cut:
        rows = self.items.numpy()
        sizes, answers = self.sources.sizes[rows], self.answers.sizes[rows]
        beyond = (sizes - self.length).clip(min=0)
        over = (answers + 1 - self.most).clip(min=0)
        n_cut = int(((beyond > 0) | (over > 0)).sum())
        n_tokens = int(sizes.sum() + answers.sum() + len(rows))
        return Cut(len(rows), n_cut, n_tokens, int(beyond.sum() + over.sum()), what="pairs")

    def __getitems__(self, indices: list[int]) -> Batch:
        rows = self.items[indices].numpy()
        of_sources, of_answers = self.starts
        tokens, lengths = rectangle(self.sources, of_sources, rows, self.length)
        answers, sizes = rectangle(self.answers, of_answers, rows, self.most, IGNORE, spare=1)
        ends = np.flatnonzero(sizes < self.most)
        answers[ends, sizes[ends]] = self.end
        return Batch(
            torch.from_numpy(tokens),
            torch.from_numpy(answers[:, : self.most]),
            lengths=torch.from_numpy(lengths).clamp(min=1),
        )
