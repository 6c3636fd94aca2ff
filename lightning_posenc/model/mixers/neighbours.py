"""How near tokens are mixed, channel by channel.

Shapes: B sequences, T tokens, C channels, W weights of a channel.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.model.mixers.base import Context
from lightning_posenc.positional.content.convolution import short_convolution


def in_a_row(owner: str, context: Context) -> None:
    """Refuse tokens of shifted windows: which stand side by side changes from layer to layer.

    Raises:
        ValueError: Naming who convolves.
    """
    if context.regrouped is not None:
        raise ValueError(
            f"{owner}: convolves tokens in a row, and those of shifted windows are none: leave out "
            "encoder.mask ShiftedWindows, or choose another residual"
        )


def with_the_past(x: Tensor, weight: Tensor, context: Context, layer: int, name: str) -> Tensor:
    """Mix each channel of (B, T, C) with those of the tokens before, in the cache too.

    Args:
        x: (B, T, C).
        weight: (C, W), the token's own weight last.
        context: What all layers share.
        layer: Index of the layer.
        name: What the cache carries the last tokens by.
    """
    back, documents = weight.shape[1] - 1, context.k_places.documents
    if context.cache is None:
        return short_convolution(x, weight, documents)
    state, of_documents = context.cache.state(layer), f"{name}_documents"
    past = state.get(name, x.new_zeros(len(x), back, x.shape[-1]))
    x = torch.cat([past, x], dim=1)
    context.cache.carry(layer, **{name: x[:, x.shape[1] - back :].clone()})
    if documents is not None:  # nothing comes from before the first
        documents = F.pad(documents, (back, 0))[:, -x.shape[1] :]
        if of_documents in state:  # of tokens that the layer's mask may have let go of
            documents = torch.cat([state[of_documents], documents[:, back:]], dim=1)
        context.cache.carry(
            layer, **{of_documents: documents[:, documents.shape[1] - back :].clone()}
        )
    return short_convolution(x, weight, documents)[:, back:]
