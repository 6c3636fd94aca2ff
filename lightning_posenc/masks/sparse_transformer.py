"""The two factorised patterns of the Sparse Transformer, each as one mask that its heads share.

Source: Child et al. 2019, "Generating Long Sequences with Sparse Transformers", arXiv:1904.10509,
section 4.2 and, for one head that sees what both factors do, 4.3 ("merged head"). The paper's
patterns are causal; here they look both ways, and a causal model hides the future.
"""

from dataclasses import dataclass

from torch import Tensor

from lightning_posenc.checks import whole, wrong
from lightning_posenc.masks.base import Mask, Span
from lightning_posenc.masks.local import has_multiple


@dataclass(frozen=True)
class Strided(Mask):
    """A token sees its `stride` neighbours and every token a multiple of `stride` steps away.

    Args:
        stride: l, at least 1; near √T it costs T·√T pairs. No run of keys is left out by a run of
            l queries, so that blocks of queries skip nothing unless l is longer than they are.
    """

    stride: int

    def __post_init__(self) -> None:
        whole(self, "stride", self.stride)

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        steps = q - k
        return (steps.abs() < self.stride) | (steps % self.stride == 0)

    @property
    def by_distance(self) -> bool:
        return True

    def reaches(self, queries: Span, keys: Span) -> Tensor:
        least, most = queries.low - keys.high, queries.high - keys.low
        near = (least < self.stride) & (most > -self.stride)
        return near | has_multiple(least, most, self.stride)


@dataclass(frozen=True)
class Fixed(Mask):
    """A token sees its own run of `stride` tokens and the last `n_summary` of every run.

    Args:
        stride: l, tokens of a run, at least 1.
        n_summary: c, tokens of a run that all see, from 1 to l.

    Raises:
        ValueError: If a run has fewer tokens than are to be seen.
    """

    stride: int
    n_summary: int = 1

    def __post_init__(self) -> None:
        whole(self, "stride", self.stride)
        if whole(self, "n_summary", self.n_summary) > self.stride:
            raise wrong(self, "n_summary", self.n_summary, f"be at most stride={self.stride}")

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        same_run = q // self.stride == k // self.stride
        return same_run | (k % self.stride >= self.stride - self.n_summary)

    def reaches(self, queries: Span, keys: Span) -> Tensor:
        same_run = queries.over(self.stride).meets(keys.over(self.stride))
        to_summary = (self.stride - self.n_summary - keys.low % self.stride).clamp(min=0)
        return same_run | (keys.low + to_summary <= keys.high)
