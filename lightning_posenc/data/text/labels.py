"""Classes of the rows of a table, by name: a number means nothing without the names' order."""

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from lightning_posenc.data.text.reading import decodable

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
                f"data.path={path}: the labels in column {column!r} are {kind}: each text must "
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


def _is_missing(value: Any) -> bool:
    return value is None or value == "" or value != value  # the last: not a number


def _is_number(text: str) -> bool:
    return bool(_INTEGER.fullmatch(text) or _FLOAT.fullmatch(text))
