"""Attention with linear biases."""

import math

import torch
from torch import Tensor

from lightning_posenc.dims import Dims
from lightning_posenc.positional.bias.base import RelativeBias
from lightning_posenc.positional.bias.sides import Form, mirrored_form
from lightning_posenc.positions.paper import Paper


class ALiBi(RelativeBias):
    """A penalty linear in distance, with a fixed slope per head.

    bias_h(delta) = -m_h · |delta|, where m_h = 2^(-8(h+1)/H) when H is a power of two; otherwise
    the slopes of the next lower power of two, then every other slope of the next higher one.

    Source: Press, Smith, Lewis 2022, "Train Short, Test Long", arXiv:2108.12409, section 3 and
    the authors' code for other head counts. Deviation: the paper is causal. In a bidirectional
    model the symmetric form cannot tell left from right; the two-sided form gives each head the
    mirrored head's slope for keys in the future.

    Args:
        dims: Sizes of the model.
        form: "symmetric" (in a causal model: the paper's) or "two_sided". None takes "symmetric"
            for a causal model and "two_sided" for a bidirectional one.

    Raises:
        ValueError: For the two-sided form with a single head, which would be symmetric.
    """

    source = Paper(
        "Press, Smith, Lewis",
        2022,
        "Train Short, Test Long: Attention with Linear Biases Enables Input Length Extrapolation",
        "2108.12409",
        "section 3",
    )
    equation = r"b_h(\Delta) = -m_h \, |\Delta|, \quad m_h = 2^{-8(h+1)/H}"

    def __init__(self, dims: Dims, form: Form | None = None) -> None:
        super().__init__(dims)
        self.form = mirrored_form(self, form, dims)

    def bias_at(self, delta: Tensor) -> Tensor:
        past = torch.tensor(slopes(self.dims.n_heads), dtype=torch.float32, device=delta.device)
        past = past.view(-1, *[1] * delta.dim())
        if self.form == "symmetric":
            return -past * delta.abs()
        return torch.where(delta < 0, past.flip(0) * delta, -past * delta)


def slopes(n_heads: int) -> list[float]:
    """The paper's slopes, steepest first within each run."""
    power = 2 ** math.floor(math.log2(n_heads))
    own = [2 ** (-8 * (h + 1) / power) for h in range(power)]
    between = [2 ** (-8 * (h + 1) / (2 * power)) for h in range(0, 2 * power, 2)]
    return own + between[: n_heads - power]
