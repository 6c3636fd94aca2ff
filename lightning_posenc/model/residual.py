"""How a branch (attention or feed-forward) joins the residual stream.

Shapes: B sequences, T tokens, D = d_model, L layers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from lightning_posenc.checks import is_a, number
from lightning_posenc.dims import Dims
from lightning_posenc.model.linear import matrices


class Residual(nn.Module, ABC):
    """Joins one branch to the stream, and says what it asks of norms and of initialisation.

    Args:
        dims: Sizes of the model.
    """

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.dims = is_a(self, "dims", dims, Dims)

    @abstractmethod
    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        """Join what a branch gave (B, T, D) to the stream x (B, T, D)."""

    def check(self, pre_norm: bool) -> None:
        """Refuse a placement of norms.

        Args:
            pre_norm: Norm before each branch; otherwise after each sum.

        Raises:
            ValueError: Saying what to set instead.
        """

    def initialise(self, branch: nn.Module, std: float) -> None:
        """Change weights that start at N(0, std), where the method asks for others.

        Args:
            branch: The attention or the feed-forward; `branch.out` is its last projection.
            std: The encoder's `init_std`.
        """


class Plain(Residual):
    """x + F(x), with F's last projection at N(0, std / sqrt(2L)).

    Source: the sum, He et al. 2016, arXiv:1512.03385; the initialisation, GPT-2 (Radford et al.
    2019), section 2.3.
    """

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        return x + branch

    def initialise(self, branch: nn.Module, std: float) -> None:
        weight = branch.get_submodule("out").get_parameter("weight")
        nn.init.normal_(weight, std=std * (2 * self.dims.n_layers) ** -0.5)


class LayerScale(Residual):
    """x + gain ⊙ F(x), with a learned gain for each channel, small at first.

    A deep stack starts near the identity. Source: Touvron et al. 2021, "Going deeper with Image
    Transformers", arXiv:2103.17239, section 2, equation 4.

    Args:
        dims: Sizes of the model.
        init: The gain at initialisation; None for the paper's: 0.1 up to 18 layers, 1e-5 up to 24,
            1e-6 above.
    """

    def __init__(self, dims: Dims, init: float | None = None) -> None:
        super().__init__(dims)
        init = self._of_depth(dims.n_layers) if init is None else number(self, "init", init)
        self.gain = nn.Parameter(torch.full((dims.d_model,), float(init)))

    @staticmethod
    def _of_depth(n_layers: int) -> float:
        if n_layers <= 18:
            return 0.1
        return 1e-5 if n_layers <= 24 else 1e-6

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        return torch.addcmul(x, self.gain.to(x.dtype), branch.to(x.dtype))


class ReZero(Residual):
    """x + gain · F(x), with one learned gain for the branch, 0 at first.

    A stack of any depth starts as the identity, and no branch's weights, its positions' included,
    have a gradient in the first step. Source: Bachlechner et al. 2020, "ReZero is All You Need",
    arXiv:2003.04887, equation 2 and section 3.3. Deviations: attention and feed-forward of a layer
    have a gain each; norms stay, unless the config says `encoder.norm: torch.nn.Identity`.

    Args:
        dims: Sizes of the model.
        init: The gain at initialisation.
    """

    def __init__(self, dims: Dims, init: float = 0.0) -> None:
        super().__init__(dims)
        self.gain = nn.Parameter(torch.full((1,), float(number(self, "init", init))))

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        return torch.addcmul(x, self.gain.to(x.dtype), branch.to(x.dtype))


class DeepNorm(Residual):
    """norm(alpha · x + F(x)), alpha = (2L)^(1/4): a post-norm stack that stays stable when deep.

    Weights start by Xavier's normal rule, whatever `init_std` is: queries and keys with gain 1,
    values, outputs and the feed-forward with beta = (8L)^(-1/4). The constants are the same for an
    encoder alone and a decoder alone. Source: Wang et al. 2022, "DeepNet: Scaling Transformers to
    1,000 Layers", arXiv:2203.00555, figure 2.
    """

    def __init__(self, dims: Dims) -> None:
        super().__init__(dims)
        self.alpha = (2 * dims.n_layers) ** 0.25
        self.beta = (8 * dims.n_layers) ** -0.25

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        return torch.add(branch, x, alpha=self.alpha)

    def check(self, pre_norm: bool) -> None:
        if pre_norm:
            raise ValueError(
                "DeepNorm: scales the stream for a norm that follows each sum: set "
                "encoder.pre_norm=false"
            )

    def initialise(self, branch: nn.Module, std: float) -> None:
        for name, weight in matrices(branch):
            nn.init.xavier_normal_(weight, gain=1.0 if name in ("q", "k") else self.beta)


ResidualFactory: TypeAlias = Callable[[Dims], Residual]
