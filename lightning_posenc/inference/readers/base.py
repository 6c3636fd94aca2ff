"""What an input of a person becomes to a model.

Shapes: B inputs.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, ClassVar

import torch

from lightning_posenc.data.batch import Batch
from lightning_posenc.data.saying import say
from lightning_posenc.tasks import IGNORE


class InputReader(ABC):
    """Reads inputs as the data that a model was trained on reads its own.

    Attributes:
        takes: What one input is, for a person to read.
        example: Such an input, as Python writes it.
    """

    takes: ClassVar[str]
    example: ClassVar[str]

    @abstractmethod
    def is_one(self, given: Any) -> bool:
        """Whether this is one input, and not several."""

    @abstractmethod
    def batch(self, inputs: Sequence[Any], length: int | None) -> Batch:
        """Inputs side by side, whose targets nobody knows.

        Args:
            inputs: B of them.
            length: Where a longer one is cut, in tokens; None for that of training.

        Raises:
            ValueError: If one is nothing that a model could read.
        """

    @property
    def takes_all(self) -> str:
        """What is read at once, for a person to read."""
        return f"{self.takes}; or several in a list"

    def several(self, given: Any) -> tuple[list[Any], bool]:
        """Inputs, and whether what was given is one alone.

        Raises:
            ValueError: If it is neither an input nor an ordered collection of such.
        """
        if self.is_one(given):
            return [given], True
        kind = type(given).__name__
        if hasattr(given, "columns"):  # it would give the names of its columns
            raise ValueError(f"{kind} is no input: give one of its columns, as in frame['text']")
        unordered = isinstance(given, str | bytes | bytearray | Mapping | Set)
        if unordered or not isinstance(given, Iterable) or getattr(given, "ndim", 1) == 0:
            raise ValueError(f"{kind} is no input: give {self.takes_all}")
        return list(given), False

    def batch_of(self, inputs: Sequence[Any], length: int | None, numbers: Sequence[int]) -> Batch:
        """As `batch`; what is wrong with one of several inputs is told with its number.

        Args:
            inputs: B of them.
            length: As `batch` has it.
            numbers: (B,) the place of each in what was given.
        """
        try:
            return self.batch(inputs, length)
        except ValueError:
            for number, each in zip(numbers, inputs, strict=True) if len(inputs) > 1 else ():
                try:
                    self.batch([each], length)
                except ValueError as error:
                    raise ValueError(f"input {number}, counted from 0: {error}") from error
            raise

    def of_word(self, word: str) -> Any:
        """An input, from what a command line says; by default it is the text itself."""
        return word

    def of_file(self, path: Path) -> list[Any]:
        """The inputs that a file holds; by default a text in each line."""
        from lightning_posenc.data.text.files import LOADERS, kind_of, opened
        from lightning_posenc.data.text.reading import decodable

        if not path.is_file():
            raise ValueError(f"--file {path} does not exist: give a file")
        if LOADERS.get(kind_of(path) or "", "text") != "text":
            raise ValueError(
                f"--file {path} holds a table: predict --ckpt_path RUN --data.path={path} reads "
                "its rows and writes predictions.jsonl"
            )
        with decodable(str(path)), opened(path) as lines:
            return [self.of_word(line.rstrip("\r\n")) for line in lines]

    def shown(self, given: Any) -> str:
        """An input, for a person to read."""
        return str(given)

    def size(self, given: Any) -> int:
        """Roughly how long an input is, so that such of a length share a batch."""
        return 0


def unknown_targets(n: int) -> torch.Tensor:
    """(n,) targets that nobody knows."""
    return torch.full((n,), IGNORE)


def say_cut(sizes: Sequence[int], length: int, what: str = "texts") -> None:
    """Say that some inputs are longer than what is read of them.

    Args:
        sizes: Tokens of each.
        length: How many are read.
        what: What the inputs are.
    """
    if n := sum(size > length for size in sizes):
        lost = sum(max(0, size - length) for size in sizes)
        say(
            f"{n} of {len(sizes)} {what} cut at {length} tokens: {lost} of "
            f"{sum(sizes)} tokens are not read; max_length=N reads more"
        )
