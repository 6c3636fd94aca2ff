"""Several encodings in one model: together, layer by layer, or for a while."""

from lightning_posenc.positional.compose.chain import Chain
from lightning_posenc.positional.compose.droppable import Droppable, idle_parameters
from lightning_posenc.positional.compose.first_layers import FirstLayers
from lightning_posenc.positional.compose.per_layer import PerLayer

__all__ = [
    "Chain",
    "Droppable",
    "FirstLayers",
    "PerLayer",
    "idle_parameters",
]
