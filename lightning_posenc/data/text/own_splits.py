"""Rows whose validation and test may lie in files of their own."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from lightning_posenc.checks import is_a
from lightning_posenc.data.meaning import same_place
from lightning_posenc.data.text.base import CorpusData
from lightning_posenc.data.text.sources import load_rows

if TYPE_CHECKING:
    from datasets import Dataset

SPLITS = ("val", "test")


class OwnSplitsData(CorpusData):
    """A source of rows, and further ones for validation and test, where it has no such splits or
    others are to be taken.

    With a checkpoint and another `path`, the files that training had beside its own are left out.

    Args:
        path: As in `CorpusData`.
        val_path: What is validated on, a source as `path` is, of one split; or None.
        test_path: What is tested, likewise.
        options: Those of `CorpusData`.
    """

    def __init__(
        self,
        path: str | None = None,
        *,
        val_path: str | None = None,
        test_path: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(path, **options)
        given = {"val": val_path, "test": test_path}
        self.other_paths = {
            split: is_a(self, f"{split}_path", other, str)
            for split, other in given.items()
            if other is not None
        }
        self._trained_paths: dict[str, str] = {}  # a checkpoint's

    def options(self) -> dict[str, Any]:
        others = {f"{split}_path": self.other_paths.get(split) for split in SPLITS}
        return {**others, **super().options()}

    def take_over(self, meaning: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        super().take_over(meaning, options)
        self._trained_paths = {
            split: path for split in SPLITS if (path := options.get(f"{split}_path"))
        }

    def path_of(self, split: str) -> str:
        """Where the rows of a split of the source are from, for a person to read."""
        return self._read_beside().get(split, self.path)

    def _names(self, split: str) -> bool:
        """Whether a file of its own is named for a split."""
        return split in self._read_beside()

    def _read_beside(self) -> dict[str, str]:
        """The files of their own that are read, by split."""
        if not self._evaluates_other:
            return self.other_paths
        return {
            split: path
            for split, path in self.other_paths.items()
            if not same_place(path, self._trained_paths.get(split, ""))
        }

    def _load(
        self, columns: Mapping[str, str], optional: Collection[str] = ()
    ) -> "dict[str, Dataset]":
        """The rows of each split.

        Raises:
            ValueError: If a file of validation or test has several splits.
        """
        trains = not self._evaluates_other
        found = load_rows(self.path, self.subset, columns, optional, trains)
        for split, path in self._read_beside().items():
            rows = load_rows(path, None, columns, optional, trains=False)
            if len(rows) > 1:
                raise ValueError(
                    f"data.{split}_path={path} has the splits {', '.join(rows)}: give a file"
                )
            (found[split],) = rows.values()
        return found
