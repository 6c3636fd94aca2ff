"""Where is each token? Samplers of positions, which compose with every encoding."""

from lightning_posenc.positions.base import Positions
from lightning_posenc.positions.consecutive import Consecutive
from lightning_posenc.positions.per_document import PerDocument
from lightning_posenc.positions.randomized import Randomized

__all__ = ["Consecutive", "PerDocument", "Positions", "Randomized"]
