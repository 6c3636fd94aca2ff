"""Texts with a class each: any file with a text and a label column, or a dataset on the Hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from lightning_posenc.checks import is_a, wrong
from lightning_posenc.data.buckets import InBuckets
from lightning_posenc.data.remembered import in_names
from lightning_posenc.data.text.files import holds_tables
from lightning_posenc.data.text.labelled_texts import Labelled, LabelledTexts
from lightning_posenc.data.text.labels import (
    check_all_labelled,
    classes_of,
    labels_of,
    missing,
    names_given,
    numbered,
)
from lightning_posenc.data.text.own_splits import OwnSplitsData
from lightning_posenc.data.text.tokenised import laid_out
from lightning_posenc.tasks import IGNORE

if TYPE_CHECKING:
    from datasets import Dataset


class TextClassificationData(InBuckets, OwnSplitsData):
    """A class for every text, cut to a length.

    Training goes through all texts, pass after pass, each in an order of its own. Validation reads
    `val_path`, or the source's validation split; without any, `val_fraction` of the training texts,
    drawn once and for any seed. The test reads `test_path`, or the test split if its labels are
    given, and otherwise the validation texts, cut to each of `eval_lengths`. Ranks that cannot
    share them equally leave out the last few. Tokenised text is cached where the `datasets` library
    caches.

    Classes are the different values of the label column over all splits, in ascending order, or
    those that a dataset of the Hub names. With a checkpoint they are the checkpoint's, by name: of
    other data all texts of its classes are tested, and a prediction needs no label.

    Args:
        path: a .parquet, .json, .jsonl, .csv or .tsv file, a folder of them, or a dataset on the
            Hub such as ag_news.
        label_column: which column holds the class, an integer or a name.
        options: those of `OwnSplitsData`, and `bucket`. A batch is padded to its longest text.

    Raises:
        ValueError: if a number is out of range, a label is missing, or there is too little text.
        FileNotFoundError: if a file does not exist.
    """

    def __init__(
        self,
        path: str | None = None,
        *,
        label_column: str = "label",
        **options: Any,
    ) -> None:
        super().__init__(path, **options)
        self.label_column = is_a(self, "label_column", label_column, str)
        if label_column == self.text_column:
            raise wrong(self, "label_column", label_column, "be another column than text_column")
        self._class_names: list[str] | None = None
        self._found: dict[str, Labelled] = {}

    def options(self) -> dict[str, Any]:
        return {"label_column": self.label_column, **super().options()}

    def meaning(self) -> dict[str, Any]:
        return {"class_names": self.class_names, **super().meaning()}

    def take_over(self, meaning: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        before = self._vocabulary, self._class_names
        super().take_over(meaning, options)
        self._class_names = list(meaning["class_names"])
        if (self._vocabulary, self._class_names) != before:
            self._found = {}

    def rows(self) -> "dict[str, Dataset]":
        """The splits; without a test that has no labels, unless it is to be predicted."""
        columns = {"text_column": self.text_column, "label_column": self.label_column}
        optional = () if self._adopted is None or self._fits else ("label_column",)
        splits = self._load(columns, optional)
        if "test" in splits and len(splits) > 1 and not (self._predicts or self._names("test")):
            labels = labels_of(splits["test"], self.label_column, self.path_of("test"))
            if len(missing(labels)) == len(labels):
                del splits["test"]  # a benchmark that keeps its answers to itself
        return splits

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, in the order of their numbers."""
        if self._class_names is None:
            self._class_names = self._own_class_names()
        return self._class_names

    @property
    def n_classes(self) -> int:
        """Number of classes; known before the text is prepared."""
        return len(self.class_names)

    def prepare_data(self) -> None:
        """Load and tokenise once a machine; the `datasets` library caches the result."""
        _ = self.class_names
        self._encoded(self.rows())

    def setup(self, stage: str | None = None) -> None:
        """Read the tokens from the cache.

        Raises:
            ValueError: if there are too few texts, or none with a class that is known.
        """
        found = self._all_texts()
        if not self._evaluates_other and "val" not in found:
            n = len(found["train"].tokens.sizes)
            if n < 2:
                raise ValueError(f"data.path={self.path} has {n} text(s): give at least 2")
        self._say_what_is_read(stage)

    def predicted(self, row: int, classes: Any, probabilities: Any) -> dict[str, Any]:
        return in_names(self.class_names, classes, probabilities)

    def _all_texts(self) -> "dict[str, Labelled]":
        """The texts of each split of the source, read once."""
        if not self._found:
            _ = self.class_names
            splits = self.rows()
            tokens = {name: laid_out(rows) for name, rows in self._encoded(splits).items()}
            for name, rows in splits.items():
                labels = labels_of(rows, self.label_column, self.path_of(name))
                self._found[name] = Labelled(tokens[name], numbered(labels, self.class_names))
        return self._found

    def _dataset(self, split: str, length: int) -> LabelledTexts:
        name, items = self._items(split)
        found = self._all_texts()[name]
        return LabelledTexts(found.tokens, found.labels.numbers, items, length)

    def _items(self, split: str) -> tuple[str, Tensor]:
        """Which of the source's splits is read, and which of its texts.

        Raises:
            ValueError: if none of them can be scored.
        """
        found = {name: each.labels for name, each in self._all_texts().items()}
        name, items = self._rows_of(split, {name: len(f.numbers) for name, f in found.items()})
        if split == "predict":
            return name, items
        numbers = found[name].numbers
        scored = items[numbers[items] != IGNORE]
        if not len(scored):
            source, column = f"data.path={self.path_of(name)}", self.label_column
            raise found[name].nothing_to_score("texts", source, column, self.class_names)
        return name, scored

    def _extent(self, split: str) -> str:
        name, items = self._items(split)
        found = self._all_texts()[name].labels
        if split == "predict":
            return f"all {len(found.numbers):,} texts of {self.path_of(name)}"
        if name == "train" and not self._evaluates_other:
            return f"the {len(items):,} texts of {self.path} that training left out"
        return found.extent(len(items), f"texts of {self.path_of(name)}")

    def _own_class_names(self) -> list[str]:
        splits = self.rows()
        found = []
        for name, rows in splits.items():
            labels = labels_of(rows, self.label_column, self.path_of(name))
            source = f"data.path={self.path_of(name)}"
            check_all_labelled(labels, f"{name} texts", source, self.label_column)
            found += labels
        if names := names_given(splits["train"], self.label_column):
            return names
        is_table = holds_tables(Path(self.path).expanduser())
        return [str(value) for value in classes_of(found, self.label_column, self.path, is_table)]
