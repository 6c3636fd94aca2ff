"""A part of what was observed: the attention of a batch's first sequences.

Shapes: B sequences, n of them, H heads, T queries, S keys.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.masks import Mask, Span, Visibility
from lightning_posenc.model.kernels import Operands
from lightning_posenc.positional.by_distance import Unwritten


def first_sequences(operands: Operands, n: int) -> Operands:
    """One layer's attention of the first n sequences, as if no others had been there."""
    n_sequences = operands.shape[0]
    if n >= n_sequences:
        return operands
    rescore = operands.rescore
    return operands._replace(
        q=operands.q[:n],
        k=operands.k[:n],
        v=operands.v[:n],
        bias=_first(operands.bias, n),
        visibility=_seen(operands.visibility, n),
        rescore=None if rescore is None else _among(rescore, n, n_sequences),
    )


def _first(bias: Tensor | Unwritten | None, n: int) -> Tensor | Unwritten | None:
    """Of B sequences, n; what all sequences share stays as it is."""
    if bias is None or isinstance(bias, Tensor):
        return None if bias is None else bias[:n]
    return bias.first(n)


def _seen(visibility: Visibility, n: int) -> Visibility:
    mask = visibility.mask
    if isinstance(mask, Tensor):
        mask = mask[:n]
    elif mask is not None and mask.n_sequences > 1:
        mask = FirstOf(mask, n)
    size = visibility.n_queries, visibility.n_keys
    return Visibility(mask, *size, visibility.device, visibility.first, visibility.keys)


def _among(rescore: Callable[[Tensor], Tensor], n: int, n_sequences: int) -> Any:
    """A rescore of n sequences: they alone hold logits, the others zeros."""

    def rescored(logits: Tensor) -> Tensor:
        missing = n_sequences - n
        return rescore(F.pad(logits, (0, 0, 0, 0, 0, 0, 0, missing)))[:n]

    return rescored


@dataclass(frozen=True, eq=False)
class FirstOf(Mask):
    """A mask of which the first n sequences are spoken of."""

    mask: Mask
    n: int

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return self.mask(b, q, k)

    def reaches(self, queries: Span, keys: Span) -> Tensor:
        return self.mask.reaches(queries, keys)

    @property
    def n_sequences(self) -> int:
        return self.n

    @property
    def hides_future(self) -> bool:
        return self.mask.hides_future
