"""Who sees whom in the sequences of one batch.

Shapes: B sequences, T tokens.
"""

from dataclasses import dataclass

from torch import Tensor

from lightning_posenc.masks.base import Mask


@dataclass(frozen=True, eq=False)
class Padding(Mask):
    """Nobody sees what stands beyond a sequence's end, but that token itself.

    Args:
        lengths: (B,) number of tokens of each sequence.
    """

    lengths: Tensor

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (k < self.lengths[b]) | (q == k)

    @property
    def n_sequences(self) -> int:
        return self.lengths.shape[0]


@dataclass(frozen=True, eq=False)
class Documents(Mask):
    """Tokens of packed documents see only their own document.

    Args:
        ids: (B, T) id of the document that each token belongs to.
    """

    ids: Tensor

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return self.ids[b, q] == self.ids[b, k]

    @property
    def in_stretches(self) -> bool:
        return True

    @property
    def n_sequences(self) -> int:
        return self.ids.shape[0]


@dataclass(frozen=True, eq=False)
class MemoryPadding(Mask):
    """Keys are of another sequence than queries, and nobody sees what stands beyond its end.

    Of an empty one all see the first token, so that no row of attention is.

    Args:
        lengths: (B,) number of tokens of each sequence of the keys.
    """

    lengths: Tensor

    def __call__(self, b: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (k < self.lengths[b].clamp(min=1)) & (q >= 0)

    @property
    def n_sequences(self) -> int:
        return self.lengths.shape[0]
