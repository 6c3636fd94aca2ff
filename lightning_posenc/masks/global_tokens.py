"""Who is seen by all."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.masks.base import FAR, Mask, Span


@dataclass(frozen=True)
class GlobalTokens(Mask):
    """The first tokens, and the last, see all and are seen by all; others see themselves.

    Source: Beltagy et al. 2020, arXiv:2004.05150, section 3.1 ("global attention"); Zaheer et al.
    2020, arXiv:2007.14062, section 2 (ITC). Longformer projects the queries, keys and values of
    global attention by matrices of its own; a mask has no parameters, so one projection serves all.

    Args:
        first: How many at the start, at least 0.
        last: How many at the end, at least 0. Where the end is depends on the length.
    """

    first: int = 1
    last: int = 0

    def __post_init__(self) -> None:
        whole(self, "first", self.first, 0)
        whole(self, "last", self.last, 0)

    @property
    def depends_on_length(self) -> bool:
        return self.last > 0

    def at(self, n_tokens: int, device: torch.device) -> Mask:
        return _Ends(self.first, n_tokens - self.last if self.last else 2 * FAR)

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        assert not self.last, "told by `at` where the end is"
        return _Ends(self.first, 2 * FAR)(b, q, k)

    def reaches(self, queries: Span, keys: Span) -> Tensor:
        assert not self.last, "told by `at` where the end is"
        return _Ends(self.first, 2 * FAR).reaches(queries, keys)


@dataclass(frozen=True)
class _Ends(Mask):
    """Tokens before `first` and from `last` on see all and are seen by all."""

    first: int
    last: int

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        seeing = (q < self.first) | (q >= self.last)
        return seeing | (k < self.first) | (k >= self.last) | (q == k)

    def reaches(self, queries: Span, keys: Span) -> Tensor:
        ends = [(span.low < self.first) | (span.high >= self.last) for span in (queries, keys)]
        return ends[0] | ends[1] | queries.meets(keys)


@dataclass(frozen=True)
class Sinks(Mask):
    """The first tokens are seen by all, and see no more than others.

    Source: Xiao et al. 2023, "Efficient Streaming Language Models with Attention Sinks",
    arXiv:2309.17453, section 3.

    Args:
        first: How many, at least 0.
    """

    first: int = 4

    def __post_init__(self) -> None:
        whole(self, "first", self.first, 0)

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (k < self.first) | (q == k)

    def reaches(self, queries: Span, keys: Span) -> Tensor:
        return (keys.low < self.first) | queries.meets(keys)
