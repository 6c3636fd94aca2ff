"""Kernels of distance with learned rates."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.dims import Dims
from lightning_posenc.positional.bias.layered import LayeredBias
from lightning_posenc.positional.bias.sides import Form, chosen_form
from lightning_posenc.positional.layers import gained_layers
from lightning_posenc.positions.paper import Paper

LEAST = 0.01  # of a value at initialisation, as in the authors' code


class KERPLELog(LayeredBias):
    """A penalty that grows with the logarithm of distance, with two learned numbers per head.

    bias_h(delta) = -r1_h · log(1 + r2_h · |delta|), with learned r1, r2 > 0.

    Source: Chi et al. 2022, "KERPLE: Kernelized Relative Positional Embedding for Length
    Extrapolation", arXiv:2205.09921, the logarithmic kernel; r1 starts uniform in (0, 2), r2 in (0,
    1), as in the authors' code. Deviation: a softplus keeps both positive, where the authors clamp
    them at 0.01 after each step. The paper is causal; in a bidirectional model the symmetric form
    cannot tell left from right, and in the two-sided form the future has values of its own.

    Args:
        dims: Sizes of the model.
        form: "symmetric" (in a causal model: the paper's) or "two_sided". None takes "symmetric"
            for a causal model and "two_sided" for a bidirectional one.
        shared: The same values in all layers, as in the authors' code.
    """

    source = Paper(
        "Chi et al.",
        2022,
        "KERPLE: Kernelized Relative Positional Embedding for Length Extrapolation",
        "2205.09921",
        "the logarithmic kernel",
    )
    equation = r"b_h(\Delta) = -r_{1,h} \ln\!\left( 1 + r_{2,h} |\Delta| \right)"

    def __init__(
        self,
        dims: Dims,
        form: Form | None = None,
        shared: bool = True,
    ) -> None:
        super().__init__(dims)
        self.scale = PerHead(dims, form, shared, start=2.0)
        self.rate = PerHead(dims, form, shared, start=1.0)

    @property
    def n_functions(self) -> int:
        return len(self.scale.raw)

    def bias_of(self, number: int, delta: Tensor) -> Tensor:
        scale, rate = self.scale(number, delta), self.rate(number, delta)
        return -scale * torch.log1p(rate * delta.abs())


class KERPLEPower(LayeredBias):
    """A penalty that grows with a power of distance, with two learned numbers per head.

    bias_h(delta) = -r1_h · |delta|^r2_h, with learned r1 > 0 and 0 < r2 < 2.

    Source: Chi et al. 2022, "KERPLE: Kernelized Relative Positional Embedding for Length
    Extrapolation", arXiv:2205.09921, the power kernel; r1 starts uniform in (0, 1), r2 in (0, 2),
    as in the authors' code. Deviation: a softplus keeps r1 positive, a scaled sigmoid keeps r2 in
    its range, where the authors clamp after each step. Two sides: see `KERPLELog`.

    Args:
        dims: Sizes of the model.
        form: "symmetric" (in a causal model: the paper's) or "two_sided". None takes "symmetric"
            for a causal model and "two_sided" for a bidirectional one.
        shared: The same values in all layers, as in the authors' code.
    """

    source = Paper(
        "Chi et al.",
        2022,
        "KERPLE: Kernelized Relative Positional Embedding for Length Extrapolation",
        "2205.09921",
        "the power kernel",
    )
    equation = r"b_h(\Delta) = -r_{1,h} \, |\Delta|^{r_{2,h}}, \quad 0 < r_{2,h} < 2"

    def __init__(
        self,
        dims: Dims,
        form: Form | None = None,
        shared: bool = True,
    ) -> None:
        super().__init__(dims)
        self.scale = PerHead(dims, form, shared, start=1.0)
        self.power = PerHead(dims, form, shared, start=2.0, below=2.0)

    @property
    def n_functions(self) -> int:
        return len(self.scale.raw)

    def bias_of(self, number: int, delta: Tensor) -> Tensor:
        scale, power = self.scale(number, delta), self.power(number, delta)
        here = delta == 0  # where the slope of a power below 1 is infinite
        distance = torch.where(here, 1.0, delta.abs())
        return torch.where(here, 0.0, -scale * distance**power)


class PerHead(nn.Module):
    """A learned positive number for each head, and each side if there are two.

    Args:
        dims: Sizes of the model.
        form: "symmetric" or "two_sided"; None takes the one that tells left from right.
        shared: One for all layers.
        start: It starts uniform in (0.01, start).
        below: An upper bound, if there is one.
    """

    def __init__(
        self,
        dims: Dims,
        form: Form | None,
        shared: bool,
        start: float,
        below: float = math.inf,
    ) -> None:
        super().__init__()
        sides = 2 if chosen_form("KERPLE", form, dims) == "two_sided" else 1
        layers = 1 if shared else dims.n_layers
        wanted = LEAST + torch.rand(layers, sides, dims.n_heads) * (start - 2 * LEAST)
        self.below = below
        self.raw = nn.Parameter(
            wanted.expm1().log() if math.isinf(below) else (wanted / below).logit()
        )
        gained_layers(self, "raw")

    def forward(self, number: int, delta: Tensor) -> Tensor:
        """Give the values of one layer, or of all, that serve distances of any shape: (H, …)."""
        raw = self.raw[number].float()
        values = F.softplus(raw) if math.isinf(self.below) else self.below * raw.sigmoid()
        sides = values.view(*values.shape, *[1] * delta.dim()).unbind(0)
        return torch.where(delta < 0, sides[-1], sides[0]) if len(sides) > 1 else sides[0]
