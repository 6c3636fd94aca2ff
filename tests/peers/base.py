"""A comparison with somebody else's implementation, and what all of them start from.

Shapes: B sequences, T tokens, H heads, K channels of a head, D = H·K.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from lightning_posenc import Dims
from lightning_posenc.positional import PositionalEncoding
from tests.helpers import site_of

B, T, H, K = 2, 40, 4, 8
D = H * K
POSITIONS = torch.arange(T).unsqueeze(0)

Compare: TypeAlias = Callable[[], Iterator[tuple[Tensor, Tensor]]]


class Peer(NamedTuple):
    """A comparison.

    Args:
        encoding: Name of our class.
        library: Whose code it is held against: the package and the class or function.
        compare: Yields pairs of (ours, theirs).
    """

    encoding: str
    library: str
    compare: Compare


PEERS: list[Peer] = []


def peer(encoding: str, library: str) -> Callable[[Compare], Compare]:
    """Register a comparison, written as a generator of pairs (ours, theirs)."""

    def register(compare: Compare) -> Compare:
        PEERS.append(Peer(encoding, library, compare))
        return compare

    return register


def dims(causal: bool = False, n_heads: int = H, n_layers: int = 1) -> Dims:
    """Sizes of a peer's layer."""
    return Dims(n_heads * K, n_heads, n_layers, causal)


def heads() -> tuple[Tensor, Tensor]:
    """Queries and keys (B, H, T, K)."""
    q, k = torch.randn(2, B, H, T, K)
    return q, k


def turned(
    encoding: PositionalEncoding, q: Tensor, k: Tensor, positions: Tensor = POSITIONS
) -> tuple[Tensor, Tensor]:
    """Queries and keys as the encoding transforms them."""
    x = q.transpose(1, 2).flatten(-2)
    return encoding.transform(site_of(encoding, 0, x, q, k, positions, positions))


def bias(
    encoding: PositionalEncoding, q: Tensor, k: Tensor, positions: Tensor = POSITIONS
) -> Tensor:
    """What the encoding adds to the logits."""
    x = torch.randn(q.shape[0], q.shape[2], D)
    added = encoding.bias(site_of(encoding, 0, x, q, k, positions, positions))
    assert added is not None
    return added
