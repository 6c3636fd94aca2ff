"""What stood k tokens ago?"""

from typing import ClassVar, Literal

import torch

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import IGNORE, Sample, Task
from lightning_posenc.tasks.bounds.mode import guess_another


class Shift(Task):
    """At position t say the token at t - k; the first k positions are not scored.

    Args:
        k: how far back to look, at least 1.
        n_symbols: number of symbols, drawn independently and uniformly, at least 2.

    Raises:
        ValueError: if an argument is too small.
    """

    kind: ClassVar[Literal["sequence", "token"]] = "token"

    def __init__(self, k: int = 1, n_symbols: int = 16) -> None:
        self.k = whole(self, "k", k, 1)
        self.vocab_size = self.n_classes = whole(self, "n_symbols", n_symbols, 2)
        self.min_length = k + 1

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        tokens = draws.integers(0, self.vocab_size, length)
        targets = torch.full_like(tokens, IGNORE)
        targets[:, self.k :] = tokens[:, : -self.k]
        return Sample(tokens, targets)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exact: every scored target is some other token of the sequence, see `guess_another`."""
        self.check_length(length)
        return guess_another(length, self.vocab_size)
