"""Where is the marker?"""

from typing import ClassVar, Literal

import torch

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample, Task, place


class PositionPattern(Task):
    """One marker stands among noise; say in which part of the sequence.

    The part is drawn uniformly, then a place within it. With the marker at position p of T the
    label is floor(p * n_parts / T), so that the noise and the bag of tokens tell nothing.

    Args:
        n_symbols: number of noise symbols, at least 1; the marker is token `n_symbols`.
        n_parts: number of parts and of classes, at least 2.

    Raises:
        ValueError: if an argument is too small.
    """

    kind: ClassVar[Literal["sequence", "token"]] = "sequence"

    def __init__(self, n_symbols: int = 16, n_parts: int = 4) -> None:
        self.n_symbols = whole(self, "n_symbols", n_symbols, 1)
        self.n_parts = whole(self, "n_parts", n_parts, 2)
        self.vocab_size = n_symbols + 1
        self.n_classes = n_parts
        self.min_length = n_parts

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        noise = draws.integers(0, self.n_symbols, length)
        part = draws.integers(0, self.n_parts)
        # First position p with floor(p * n_parts / length) = part is ceil(part * length / n_parts).
        edge = torch.tensor([-(-n * length // self.n_parts) for n in range(self.n_parts + 1)])
        marker = draws.integers(edge[part], edge[part + 1])
        return Sample(place(noise, marker, self.n_symbols), part, marker)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exactly 1 / n_parts: the bag is independent of the label, which is uniform."""
        self.check_length(length)
        return 1 / self.n_parts
