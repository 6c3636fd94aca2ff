"""Who sees whom, said of blocks of tokens.

Shapes: T tokens, N blocks of them.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.checks import is_a, whole
from lightning_posenc.draws import Draws
from lightning_posenc.masks.base import Mask, Span


@dataclass(frozen=True)
class Blocked(Mask):
    """What a mask says of tokens, said of blocks of them: all of a block see all of another.

    Source: Zaheer et al. 2020, "Big Bird: Transformers for Longer Sequences", arXiv:2007.14062,
    appendix D ("blockifying").

    Args:
        mask: Who sees whom, of blocks counted from 0.
        size: Tokens of a block, at least 1; the last may have fewer.
    """

    mask: Mask
    size: int

    def __post_init__(self) -> None:
        is_a(self, "mask", self.mask, Mask)
        whole(self, "size", self.size)

    @property
    def depends_on_length(self) -> bool:
        return self.mask.depends_on_length

    def at(self, n_tokens: int, device: torch.device) -> Mask:
        return Blocked(self.mask.at(-(-n_tokens // self.size), device), self.size)

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return self.mask(b, q // self.size, k // self.size)

    def reaches(self, queries: Span, keys: Span) -> Tensor:
        return self.mask.reaches(queries.over(self.size), keys.over(self.size))


@dataclass(frozen=True)
class RandomBlocks(Mask):
    """A token sees its own block of tokens, and some others drawn for its block.

    The draw is a function of the seed and of the number of blocks, the same for all sequences,
    heads and steps, as in the paper's implementation; another seed a layer is another mask a layer.

    Source: Zaheer et al. 2020, arXiv:2007.14062, section 2.

    Args:
        size: Tokens of a block, at least 1; the last may have fewer.
        n_random: r, blocks drawn for each, at least 1, as far as there are others.
        seed: Of the draw, at least 0.
        besides: Blocks that this mask lets a block see are not drawn: it is said of blocks counted
            from 0, as in `Blocked`; None if all but the own may be.
    """

    size: int
    n_random: int = 3
    seed: int = 0
    besides: Mask | None = None

    def __post_init__(self) -> None:
        whole(self, "size", self.size)
        whole(self, "n_random", self.n_random)
        whole(self, "seed", self.seed, 0)
        is_a(self, "besides", self.besides, Mask | None)

    @property
    def depends_on_length(self) -> bool:
        return True

    def at(self, n_tokens: int, device: torch.device) -> Mask:
        return Blocked(_drawn(self, -(-n_tokens // self.size), device), self.size)

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        raise AssertionError("told by `at` how many blocks there are")

    def drawn(self, n_blocks: int) -> Tensor:
        """Which blocks are drawn for which, (N, N) bool: at most `n_random` a row."""
        order = Draws(self.seed, "random blocks", torch.arange(n_blocks)).permutation(n_blocks)
        taken = torch.eye(n_blocks, dtype=torch.bool)
        if self.besides is not None:
            cpu = torch.device("cpu")
            taken = taken | self.besides.at(n_blocks, cpu).dense(n_blocks, n_blocks, cpu)[0, 0]
        free = ~taken.gather(1, order)
        first = free & (free.cumsum(dim=1) <= self.n_random)
        return torch.zeros_like(taken).scatter(1, order, first)


@torch.compiler.disable  # NumPy draws
@lru_cache(maxsize=64)
def _drawn(of: RandomBlocks, n_blocks: int, device: torch.device) -> "_Table":
    seen = of.drawn(n_blocks) | torch.eye(n_blocks, dtype=torch.bool)
    within = F.pad(seen.long().cumsum(0).cumsum(1), (1, 0, 1, 0))
    return _Table(seen.to(device), within.to(device))


@dataclass(frozen=True, eq=False)
class _Table(Mask):
    """A mask written out.

    Args:
        seen: (N, N) bool.
        within: (N + 1, N + 1), pairs that see each other among the first queries and keys.
    """

    seen: Tensor
    within: Tensor

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return self.seen[q, k]

    def reaches(self, queries: Span, keys: Span) -> Tensor:
        q, k = (
            Span(span.low, span.high.clamp(max=len(self.seen) - 1) + 1) for span in (queries, keys)
        )
        before = self.within[q.low, k.low] - self.within[q.high, k.low] - self.within[q.low, k.high]
        return self.within[q.high, k.high] + before > 0
