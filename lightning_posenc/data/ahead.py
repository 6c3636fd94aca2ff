"""Make the samples of several batches at once, before they are asked for.

A batch of samples of many lengths takes one call of the task for each length; several batches take
hardly more. Since a sample is a function of its number alone, they are those that would have come.

Shapes: B samples.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lightning_posenc.data.batch import Batch

SAMPLES_PER_LENGTH = 16
MOST_TOKENS = 2**20


class Ahead:
    """Gives batch after batch; where their numbers go on by one step, several are made at once.

    Args:
        make: Makes the samples of numbers (B,), row by row in the same shapes.
        n_lengths: How many lengths there are.
        width: Tokens of a row.
    """

    def __init__(self, make: Callable[[Tensor], Batch], n_lengths: int, width: int) -> None:
        self._make = make
        self._samples = min(SAMPLES_PER_LENGTH * n_lengths, max(1, MOST_TOKENS // width))
        self._made: dict[tuple[int, ...], Batch] = {}
        self._last: Tensor | None = None

    def __call__(self, index: Tensor) -> Batch:
        """The samples with numbers (B,)."""
        last, self._last = self._last, index
        asked = tuple(index.tolist())
        if asked in self._made:
            return self._made.pop(asked)
        self._made.clear()
        step = None if last is None or last.shape != index.shape else index - last
        n = self._samples // max(1, len(index))
        if step is None or n < 2 or not len(step) or not bool((step == step[0]).all()):
            return self._make(index)
        numbers = index + step[0] * torch.arange(n)[:, None]
        made = self._make(numbers.flatten())
        parts = zip(*(_rows(part, n) for part in made), strict=True)
        for one, values in zip(numbers.tolist(), parts, strict=True):
            self._made[tuple(one)] = Batch(*values)
        return self._made.pop(asked)


def _rows(part: Tensor | None, n: int) -> list[Tensor | None]:
    """A tensor's rows in n parts of their own memory, as a worker process hands them on."""
    return [None] * n if part is None else [each.clone() for each in part.chunk(n)]
