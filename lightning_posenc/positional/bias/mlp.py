"""A small network from one number to a bias for each head."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F


class ScalarMLP(nn.Module):
    """Linear, norm, activation, …, linear, in float32 whatever the dtype of the model.

    The last map has no bias: a constant along the keys changes no attention weight.

    Args:
        widths: Of the hidden layers, at least one.
        n_heads: Number of outputs.
        activation: Between linear maps.
        norm: Layer norm before each activation.
    """

    def __init__(
        self,
        widths: Sequence[int],
        n_heads: int,
        activation: Callable[[Tensor], Tensor],
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(*sizes) for sizes in pairwise([1, *widths]))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths if norm)
        self.out = nn.Linear(widths[-1], n_heads, bias=False)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Map float32 numbers of any shape to (H, *x.shape)."""
        x = x.unsqueeze(-1)
        for index, linear in enumerate(self.linears):
            x = in_float32(cast(nn.Linear, linear), x)
            if self.norms:
                x = in_float32(cast(nn.LayerNorm, self.norms[index]), x)
            x = self.activation(x)
        return in_float32(self.out, x).movedim(-1, 0)


def in_float32(module: nn.Linear | nn.LayerNorm, x: Tensor) -> Tensor:
    """Apply a module with its parameters as float32 numbers, whatever they are stored as."""
    weight, bias = module.weight.float(), None if module.bias is None else module.bias.float()
    if isinstance(module, nn.Linear):
        return F.linear(x, weight, bias)
    return F.layer_norm(x, module.normalized_shape, weight, bias, module.eps)
