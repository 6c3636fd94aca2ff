"""Classes of the rows of a table, by name: a number means nothing without the names' order."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.data.meaning import listed
from lightning_posenc.data.text.reading import decodable
from lightning_posenc.tasks import IGNORE

if TYPE_CHECKING:
    from datasets import Dataset

Label = str | int | bool | float | None  # None: the row has none
DATES = (
    "dates: JSON has none, and its reader takes text for one where all of it looks so: give the "
    "file as .csv, or write something beside them"
)
_INTEGER = re.compile(r"0|-?[1-9]\d*")
_FLOAT = re.compile(r"[-+]?(\d+\.\d*|\d*\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?")


def names_given(rows: "Dataset", column: str) -> list[str] | None:
    """Names of the classes in the order of their numbers, where the column holds numbers and the
    dataset names them.
    """
    from datasets import ClassLabel

    feature = rows.features.get(column)
    return list(feature.names) if isinstance(feature, ClassLabel) else None


def labels_of(rows: "Dataset", column: str, path: str) -> list[Label]:
    """The label of each row; all None where there is no such column.

    Raises:
        ValueError: if labels are lists or records.
    """
    if column not in rows.column_names:
        return [None] * len(rows)
    with decodable(path):
        values = list(rows[column])
    if names := names_given(rows, column):
        return [None if n is None or n < 0 else names[n] for n in values]
    for value in values:
        if isinstance(value, list | tuple | dict):
            kind = "records" if isinstance(value, dict) else "lists"
            raise ValueError(
                f"data.path={path}: the labels in column {column!r} are {kind}: each row must "
                "have one class; set data.label_column if another holds it"
            )
    return [None if _is_missing(value) else value for value in values]


def classes_of(labels: Iterable[Label], column: str, path: str, is_table: bool) -> list[Any]:
    """The different labels in ascending order.

    Args:
        labels: all labels, none of them missing.
        column: where they are from.
        path: likewise.
        is_table: whether they were written without a type, so that digits are a number: those of
            integers are then in the order of the numbers.

    Raises:
        ValueError: if they are neither all names, nor all integers, nor all true or false.
    """
    found: list[Any] = list(labels)
    values = set(found)
    kinds = {type(value) for value in values}
    if len(values) == 1 < len(found):
        raise ValueError(
            f"data.path={path}: every label in column {column!r} is {next(iter(values))!r}: there "
            "is nothing to tell apart; set data.label_column if another holds the class"
        )
    if is_table and kinds == {str}:
        if all(map(_INTEGER.fullmatch, values)):
            return [str(number) for number in sorted(map(int, values))]
        if any(map(_FLOAT.fullmatch, values)) and all(map(_is_number, values)):
            examples = " and ".join(sorted(values, key=lambda each: ("." not in each, each))[:2])
            raise ValueError(
                f"data.path={path}: the labels in column {column!r} are numbers with a point, such "
                f"as {examples}: write classes as names or whole numbers, each in one way"
            )
    if kinds <= {date, datetime}:
        raise ValueError(f"data.path={path}: the labels in column {column!r} are {DATES}")
    if kinds not in ({int}, {str}, {bool}):
        raise ValueError(
            f"data.path={path}: the labels in column {column!r} are of type "
            f"{', '.join(sorted(kind.__name__ for kind in kinds))}: they must all be integers "
            "or all be names; set data.label_column if another holds the class"
        )
    return sorted(values)


def name_of(label: Label) -> str:
    """How a label is called: whole numbers alike, however a file writes them."""
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def missing(labels: Sequence[Label]) -> list[int]:
    """Numbers of the rows without a label."""
    return [row for row, label in enumerate(labels) if label is None]


class Numbered(NamedTuple):
    """The labels of one split.

    Args:
        numbers: (N,) int64, class of each row; -100 where it is not known.
        unknown: How many have which class that is none of the model's.
        n_missing: How many have no label.
    """

    numbers: Tensor
    unknown: Counter[str]
    n_missing: int

    def extent(self, n_scored: int, rows: str) -> str:
        """A phrase on how many of all rows are scored, and why the others are not.

        Args:
            n_scored: How many are.
            rows: What they are and where from.
        """
        unscored = self._unscored()
        of = f"{n_scored:,} of the" if unscored else "all"
        said = f"{of} {len(self.numbers):,} {rows}"
        return f"{said}; not scored: {unscored}" if unscored else said

    def _unscored(self) -> str:
        """A phrase on rows that cannot be scored; nothing if all can."""
        said = []
        if self.unknown:
            total = f"{sum(self.unknown.values()):,}"
            said.append(f"{total} of classes that the model does not know, {listed(self.unknown)}")
        if self.n_missing:
            said.append(f"{self.n_missing:,} without a label")
        return "; ".join(said)

    def nothing_to_score(
        self, kind: str, source: str, column: str, known: Sequence[str]
    ) -> ValueError:
        """What to raise where none of the rows that are to be tested can be scored.

        Args:
            kind: What a row is, in the plural.
            source: The option that says where they are from, with its value.
            column: Which holds the labels.
            known: Names of the classes.
        """
        n = len(self.numbers)
        if not self.unknown:
            return ValueError(
                f"{source}: none of its {n} {kind} has a label in column {column!r}: set "
                "data.label_column, or ask for predictions alone"
            )
        return ValueError(
            f"{source}: none of its {n} {kind} has a class that the checkpoint knows: they have "
            f"{listed(self.unknown)}, the checkpoint {listed([*known])}"
        )


def numbered(labels: Sequence[Label], class_names: Sequence[str]) -> Numbered:
    """The labels as numbers of classes, by name."""
    number = {name: n for n, name in enumerate(class_names)}
    names = [None if label is None else name_of(label) for label in labels]
    numbers = [IGNORE if name is None else number.get(name, IGNORE) for name in names]
    unknown = Counter(name for name in names if name is not None and name not in number)
    return Numbered(torch.tensor(numbers), unknown, len(missing(labels)))


def check_all_labelled(labels: Sequence[Label], kind: str, source: str, column: str) -> None:
    """Refuse rows of which one has no label.

    Args:
        labels: Those of the rows.
        kind: What a row is, in the plural.
        source: The option that says where they are from, with its value.
        column: Which holds the labels.

    Raises:
        ValueError: Naming the first.
    """
    if rows := missing(labels):
        raise ValueError(
            f"{source}: {len(rows)} of {len(labels)} {kind} have no label in column {column!r}, "
            f"the first of them row {rows[0]} (counted from 0): label them or take them out"
        )


def _is_missing(value: Any) -> bool:
    return value is None or value == "" or value != value  # the last: not a number


def _is_number(text: str) -> bool:
    return bool(_INTEGER.fullmatch(text) or _FLOAT.fullmatch(text))
