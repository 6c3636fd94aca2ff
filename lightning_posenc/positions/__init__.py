"""Where is each token? Samplers of positions, which compose with every encoding."""

from lightning_posenc.positions.abacus import Abacus
from lightning_posenc.positions.base import Positions
from lightning_posenc.positions.consecutive import Consecutive
from lightning_posenc.positions.graph import Graph, shortest_paths
from lightning_posenc.positions.grid import Grid
from lightning_posenc.positions.interpolated import Interpolated
from lightning_posenc.positions.jittered import Jittered
from lightning_posenc.positions.per_document import PerDocument
from lightning_posenc.positions.places import Places
from lightning_posenc.positions.pose import PoSE
from lightning_posenc.positions.position_coupling import PositionCoupling
from lightning_posenc.positions.random_distances import RandomDistances
from lightning_posenc.positions.randomized import Randomized
from lightning_posenc.positions.sequences import Sequences
from lightning_posenc.positions.shifted import Shifted

__all__ = [
    "Abacus",
    "Consecutive",
    "Graph",
    "Grid",
    "Interpolated",
    "Jittered",
    "PerDocument",
    "Places",
    "PoSE",
    "PositionCoupling",
    "Positions",
    "RandomDistances",
    "Randomized",
    "Sequences",
    "Shifted",
    "shortest_paths",
]
