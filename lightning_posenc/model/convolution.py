"""The convolution module of the Conformer.

Shapes: B sequences, T tokens, N of them real, W weights of a channel, D = d_model.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import made, whole, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.model.linear import Stacked
from lightning_posenc.model.mixers.base import Context
from lightning_posenc.model.mixers.neighbours import in_a_row, with_the_past
from lightning_posenc.model.part import Part
from lightning_posenc.positional.content.convolution import on_both_sides

WIDEST = 4096


class Convolution(Part):
    """out(silu(norm(depthwise(glu(up(x)))))): each token mixed with its near neighbours.

    Padding is no neighbour and no part of the norm's means; other documents are none either, and in
    a causal model no later token is. Source: Gulati et al. 2020, "Conformer: Convolution-augmented
    Transformer for Speech Recognition", arXiv:2005.08100, section 2.2.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        kernel_size: W, tokens that are mixed, odd: as many on either side; in a causal model, the
            token and W - 1 before it.
        norm: Makes a norm of D channels; None for the paper's torch.nn.BatchNorm1d, which computes
            a sequence with means over all of its batch in training (its running means move twice a
            step where activations are computed again). torch.nn.LayerNorm does not.
        bias: Whether the projections have a bias.

    Raises:
        ValueError: If W is even.
    """

    def __init__(
        self,
        dims: Dims,
        layer: int,
        kernel_size: int = 31,
        norm: Callable[[int], nn.Module] | None = None,
        bias: bool = False,
    ) -> None:
        super().__init__(dims, layer)
        width = dims.d_model
        if not whole(self, "kernel_size", kernel_size, most=WIDEST) % 2:
            raise wrong(self, "kernel_size", kernel_size, "be odd: as many on either side")
        self.up = Stacked(width, {"up": width, "gate": width}, bias=bias)
        self.depthwise = nn.Conv1d(width, width, kernel_size, groups=width, bias=False)
        make = nn.BatchNorm1d if norm is None else norm
        self.norm = made(self, "norm", make, nn.Module, width)
        self.out = nn.Linear(width, width, bias=bias)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Mix (B, T, D) over near tokens: (B, T, D)."""
        in_a_row("Conformer", context)
        x = F.glu(self.up(x), dim=-1)
        real = None if context.cache is not None else context.real_tokens()
        if real is not None:
            x = torch.where(real.unsqueeze(-1), x, 0)
        weight, documents = self.depthwise.weight.squeeze(1), context.k_places.documents
        if self.dims.causal:
            x = with_the_past(x, weight, context, self.layer, "convolved")
        else:
            x = on_both_sides(x, weight, documents)
        return self.out(F.silu(self._normed(x, real)))

    def _normed(self, x: Tensor, real: Tensor | None) -> Tensor:
        """What the norm makes of (B, T, D); in training it sees real tokens alone."""
        if real is None or not self.training:
            return self.norm(x.flatten(0, 1)).view_as(x)
        normed = self.norm(x[real])  # (N, D)
        return torch.zeros_like(x, dtype=normed.dtype).masked_scatter(real.unsqueeze(-1), normed)
