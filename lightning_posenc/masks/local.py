"""Who sees its past, and who its neighbourhood."""

from dataclasses import dataclass

from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.masks.base import Mask, Span


@dataclass(frozen=True)
class Causal(Mask):
    """A token sees itself and its past."""

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return q >= k

    def reaches(self, queries: Span, keys: Span) -> Tensor:
        return queries.high >= keys.low

    @property
    def by_distance(self) -> bool:
        return True

    @property
    def hides_future(self) -> bool:
        return True


@dataclass(frozen=True)
class Window(Mask):
    """A token sees those fewer than `size` steps away.

    Source: Beltagy et al. 2020, "Longformer: The Long-Document Transformer", arXiv:2004.05150,
    section 3.1; its window of w tokens, w/2 on each side, is `Window(w // 2 + 1)`.

    Args:
        size: At least 1; 1 leaves a token alone with itself.
    """

    size: int

    def __post_init__(self) -> None:
        whole(self, "size", self.size)

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (q - k).abs() < self.size

    @property
    def by_distance(self) -> bool:
        return True

    def reaches(self, queries: Span, keys: Span) -> Tensor:
        behind, ahead = queries.low - keys.high, keys.low - queries.high
        return (behind < self.size) & (ahead < self.size)


@dataclass(frozen=True)
class Dilated(Mask):
    """A token sees every `dilation`-th of its neighbours, fewer than `size` of them on each side.

    Source: Beltagy et al. 2020, arXiv:2004.05150, section 3.1, figure 2c.

    Args:
        size: At least 1; 1 leaves a token alone with itself.
        dilation: Steps from one to the next, at least 1; 1 is `Window(size)`.
    """

    size: int
    dilation: int = 2

    def __post_init__(self) -> None:
        whole(self, "size", self.size)
        whole(self, "dilation", self.dilation)

    @property
    def reach(self) -> int:
        """Steps to the farthest."""
        return (self.size - 1) * self.dilation

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        steps = q - k
        return (steps.abs() <= self.reach) & (steps % self.dilation == 0)

    @property
    def by_distance(self) -> bool:
        return True

    def reaches(self, queries: Span, keys: Span) -> Tensor:
        least = (queries.low - keys.high).clamp(min=-self.reach)
        most = (queries.high - keys.low).clamp(max=self.reach)
        return has_multiple(least, most, self.dilation)


def has_multiple(least: Tensor, most: Tensor, of: int) -> Tensor:
    """Whether a multiple of a number lies in [least, most]."""
    return most // of * of >= least
