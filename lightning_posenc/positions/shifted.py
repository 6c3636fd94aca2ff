"""Positions that start somewhere else every time."""

import torch
from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.draws import sent
from lightning_posenc.positions.base import Positions
from lightning_posenc.positions.derived import Derived, one_each
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.sequences import Sequences


class Shifted(Derived):
    """p + k in training, with k uniform among 0, 1, …, max_shift; p alone otherwise.

    A model that never knows where counting starts must look at differences. On several axes each
    has a shift of its own. An encoding with a table needs `max_shift` more rows.

    Source: Kiyono et al. 2021, "SHAPE: Shifted Absolute Position Embedding for Transformers",
    arXiv:2109.05644.

    Args:
        max_shift: K, the largest shift, not negative.
        per_sequence: Draw anew for every sequence, as in the paper; otherwise one shift serves
            the batch.
        of: Where tokens are before the shift; None counts 0, 1, 2, …

    Raises:
        ValueError: If `max_shift` is negative.
    """

    source = Paper(
        "Kiyono et al.",
        2021,
        "SHAPE: Shifted Absolute Position Embedding for Transformers",
        "2109.05644",
    )
    equation = r"p_t' = p_t + k, \quad k \sim U\{0, \dots, K\}"

    def __init__(
        self, max_shift: int = 100, per_sequence: bool = True, of: Positions | None = None
    ) -> None:
        super().__init__(of)
        self.max_shift = whole(self, "max_shift", max_shift, 0)
        self.per_sequence = per_sequence

    def bounds(self, length: int) -> tuple[float, float] | None:
        if (before := self.of.bounds(length)) is None:
            return None
        return before[0], before[1] + (self.max_shift if self.training else 0)

    def change(self, positions: Tensor, sequences: Sequences) -> Tensor:
        if not self.training:
            return positions
        shape = one_each(positions, sequences.number if self.per_sequence else 1)
        shift = torch.randint(self.max_shift + 1, shape, device="cpu")
        return positions + sent(shift, positions.device)
