"""What other people's implementations compute, beside ours.

Importing the package registers every comparison in `base.PEERS`.
"""

from tests.peers import (
    absolute,
    bias,
    content,
    disentangled,
    distance,
    graph,
    plane,
    rotary,
    temperature,
)
from tests.peers.base import PEERS, Peer

__all__ = [
    "PEERS",
    "Peer",
    "absolute",
    "bias",
    "content",
    "disentangled",
    "distance",
    "graph",
    "plane",
    "rotary",
    "temperature",
]
