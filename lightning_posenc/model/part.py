"""What the parts of a block share: they are told the sizes and their layer, and start themselves.

Shapes: D = d_model.
"""

from abc import ABC
from collections.abc import Sequence
from typing import Any

from torch import nn

from lightning_posenc.checks import is_a, whole
from lightning_posenc.dims import Dims


def by_layer(name: str, given: Any, dims: Dims) -> list[Any]:
    """One thing for all layers, or several, of which layer l takes entry l mod n.

    Raises:
        ValueError: If there are more of them than layers, or none.
    """
    is_several = isinstance(given, Sequence) and not isinstance(given, str)
    entries = list(given) if is_several else [given]
    if not 1 <= len(entries) <= dims.n_layers:
        raise ValueError(
            f"{name}: {len(entries)} entries do not fit {dims.n_layers} layers; give between "
            "one entry and one for each layer"
        )
    return entries


class Part(nn.Module, ABC):
    """A mixer or a feed-forward: one branch beside the residual stream, from (B, T, D) to the same.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
    """

    def __init__(self, dims: Dims, layer: int) -> None:
        super().__init__()
        self.dims: Dims = is_a(self, "dims", dims, Dims)
        self.layer = whole(self, "layer", layer, 0, dims.n_layers - 1)

    def initialise(self, std: float, depth_scale: float) -> None:
        """Start the weights, once every `nn.Linear` in the block has started at N(0, std) and no
        bias.

        By default the linear layer called `out`, if there is one, starts anew at std · depth_scale,
        where that is another. Override it where other weights write into the residual stream, or
        where parameters are not in linear layers.

        Args:
            std: The encoder's `init_std`.
            depth_scale: Factor on the std of what writes into the residual stream.
        """
        out = getattr(self, "out", None)
        if depth_scale != 1 and isinstance(out, nn.Linear):
            nn.init.normal_(out.weight, std=std * depth_scale)
