"""Many feed-forwards of one width, each applied to the tokens that are sent to it.

Shapes: E experts, N rows, M rows of each, D = d_model, F = d_ff.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.dims import Dims
from lightning_posenc.model.linear import Stacked


class Experts(nn.Module):
    """E feed-forwards without biases, whose matrices are stacked: every parameter has a gradient in
    every step, whoever was chosen.

    Args:
        dims: Sizes of the model.
        n_experts: E.
        d_ff: F.
        gated: Whether activation(gate(x)) · up(x) is projected back, and not activation(up(x)).
        activation: The nonlinearity.
        dropout: Probability of dropping a number after it.
    """

    def __init__(
        self,
        dims: Dims,
        n_experts: int,
        d_ff: int,
        gated: bool,
        activation: nn.Module,
        dropout: float,
    ) -> None:
        super().__init__()
        self.n_experts = n_experts
        self.gated = gated
        into = ("gate", "up") if gated else ("up",)
        self.up = Stacked(
            dims.d_model,
            {f"{name}_{e}": d_ff for e in range(n_experts) for name in into},
            bias=False,
        )
        self.activation = activation
        self.dropout = nn.Dropout(dropout)
        self.out = Stacked(d_ff, {f"out_{e}": dims.d_model for e in range(n_experts)}, bias=False)

    def forward(self, x: Tensor, ends: Tensor | None = None) -> Tensor:
        """Apply.

        Args:
            x: (E, M, D), or (N, D) sorted by expert.
            ends: (E,) int64, where the rows of each expert end; None if each has M.

        Returns:
            Of the shape of x.
        """
        multiply: Callable[[Tensor, Tensor], Tensor] = _each
        if ends is not None:
            multiply = partial(grouped, ends=ends)
        up, out = (each.weight.unflatten(0, (self.n_experts, -1)) for each in (self.up, self.out))
        hidden = multiply(x, up)
        if self.gated:
            gate, hidden = hidden.chunk(2, dim=-1)
            hidden = self.activation(gate) * hidden
        else:
            hidden = self.activation(hidden)
        return multiply(self.dropout(hidden), out)


def _each(x: Tensor, weights: Tensor) -> Tensor:
    """(E, M, D) and (E, F, D) to (E, M, F)."""
    return torch.bmm(x, weights.mT)


def grouped(x: Tensor, weights: Tensor, ends: Tensor) -> Tensor:
    """Multiply sorted rows by the matrix of the group that they are in.

    In one call where torch has one that takes them (it wants rows of whole 16 bytes), and nobody
    waits for a GPU; else group by group.

    Args:
        x: (N, D), of which the rows from ends[e - 1] to ends[e] are group e's.
        weights: (E, F, D).
        ends: (E,) int64, the last of which is N.

    Returns:
        (N, F).
    """
    device = x.device.type
    if torch.is_autocast_enabled(device):
        x, weights = (part.to(torch.get_autocast_dtype(device)) for part in (x, weights))
    at_once = getattr(F, "grouped_mm", None)  # from torch 2.10
    if at_once is not None and _is_served(x, weights):
        return at_once(x, weights.mT, offs=ends.to(torch.int32))
    sizes = ends.diff(prepend=ends.new_zeros(1)).tolist()
    return torch.cat(
        [F.linear(rows, of) for rows, of in zip(x.split(sizes), weights.unbind(), strict=True)]
    )


def _is_served(x: Tensor, weights: Tensor) -> bool:
    """Whether dtype and widths are such as torch's grouped product takes.

    Float32 it computes too, but traces it not when a model is compiled (torch 2.13).
    """
    widths = weights.shape[1:]
    return x.dtype == torch.bfloat16 and all(w * x.element_size() % 16 == 0 for w in widths)
