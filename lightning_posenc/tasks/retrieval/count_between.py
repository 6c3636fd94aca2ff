"""How many between the brackets?"""

from typing import ClassVar, Literal

import torch

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample, Task


class CountBetween(Task):
    """Count the x between two markers; some x stand outside them.

    Always max_count x stand in the sequence; how many of them inside is uniform in 0..max_count.
    Both inside and outside have room for all, whatever the count, so that neither the bag nor the
    places of the markers tell anything. With max_count = 2 and T = 7: `3 < 0 x 1 > x`, label 1.

    It stresses counting by content within a stretch that two markers bound, both at any distance.

    No source: made for this package. Encodings that count tokens by their content are meant for
    the like: Golovneva et al. 2024, "Contextual Position Encoding: Learning to Count What's
    Important", arXiv:2405.18719.

    Args:
        max_count: number of x, at least 1; T is at least 2 max_count + 2.
        n_symbols: number of noise symbols, at least 1; x is token `n_symbols`, then come the
            opening and the closing marker.

    Raises:
        ValueError: if an argument is too small.
    """

    kind: ClassVar[Literal["sequence", "token"]] = "sequence"

    def __init__(self, max_count: int = 4, n_symbols: int = 16) -> None:
        self.max_count = whole(self, "max_count", max_count, 1)
        self.n_symbols = whole(self, "n_symbols", n_symbols, 1)
        self.n_classes = max_count + 1
        self.min_length = 2 * max_count + 2
        self.vocab_size = n_symbols + 3
        self.symbols = [*map(str, range(n_symbols)), "x", "<", ">"]

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        count = draws.integers(0, self.n_classes)[:, None]
        inside = draws.integers(self.max_count, length - 1 - self.max_count)[:, None]
        opening = draws.integers(0, length - 1 - inside[:, 0])[:, None]
        closing = opening + inside + 1
        tokens = draws.integers(0, self.n_symbols, length)
        t = torch.arange(length)
        # A random order of the places: first those inside, then those outside, then the markers.
        group = ((t < opening) | (t > closing)).long() + 2 * ((t == opening) | (t == closing))
        order = (group * 2**31 + draws.integers(0, 2**31, length)).argsort(dim=1, stable=True)
        chosen = (t < count) | ((t >= inside) & (t < inside + self.max_count - count))
        tokens[torch.zeros_like(chosen).scatter(1, order, chosen)] = self.n_symbols
        tokens.scatter_(1, opening, self.n_symbols + 1).scatter_(1, closing, self.n_symbols + 2)
        return Sample(tokens, count[:, 0])

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exactly 1 / (max_count + 1): the bag is independent of the count, which is uniform."""
        self.check_length(length)
        return 1 / self.n_classes
