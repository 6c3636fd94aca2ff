"""How a branch (attention or feed-forward) joins the residual stream.

Shapes: B sequences, T tokens, D = d_model, L layers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from lightning_posenc.checks import is_a, number, whole
from lightning_posenc.dims import Dims
from lightning_posenc.model.linear import matrices
from lightning_posenc.model.part import Part


class DropPath(nn.Module):
    """Stochastic depth: drops a branch for whole sequences (Huang et al. 2016, arXiv:1603.09382).

    Args:
        p: Probability in training, in [0, 1). What is kept grows by 1/(1-p).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = number(self, "p", p, 0, below=1)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        rows = x.new_empty(len(x), *[1] * (x.dim() - 1), dtype=torch.float32)
        keep = rows.bernoulli_(1 - self.p)
        return x * (keep / (1 - self.p)).to(x.dtype)


class Residual(nn.Module, ABC):
    """Joins one branch to the stream, and says where norms stand and how the branch starts.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        pre_norm: Norm before the branch, and after the last block; otherwise after the sum.
        drop_path: Probability of dropping a branch of the last block, in [0, 1); earlier blocks
            drop proportionally less (stochastic depth).
    """

    reversible: ClassVar[bool] = False
    """Whether there are two streams, each of which the other's branches are added to."""
    layout: ClassVar[Callable[..., nn.Module] | None] = None
    """Makes a layer of branches that are joined so, as `Block` is made; None for `Block`."""

    def __init__(
        self, dims: Dims, layer: int, pre_norm: bool = True, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.dims: Dims = is_a(self, "dims", dims, Dims)
        self.layer = whole(self, "layer", layer, 0, dims.n_layers - 1)
        self.pre_norm = pre_norm
        rate = number(self, "drop_path", drop_path, 0, below=1)
        self.drop_path = DropPath(rate * layer / max(dims.n_layers - 1, 1))
        self.embedding_norm = False
        self.parallel = False

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        """Join what a branch gave (B, T, D) to the stream x (B, T, D)."""
        drop_path = self.drop_path
        return self.join(x, drop_path(branch) if drop_path.training else branch)

    @abstractmethod
    def join(self, x: Tensor, branch: Tensor) -> Tensor:
        """Add the branch (B, T, D), some sequences of which may be dropped, to x (B, T, D)."""

    def initialise(self, branch: Part, std: float) -> None:
        """Start the weights of a branch whose linear layers have started at N(0, std).

        Args:
            branch: The mixer or the feed-forward.
            std: The encoder's `init_std`.
        """
        branch.initialise(std, 1.0)


class Plain(Residual):
    """x + F(x); what F writes into the stream starts at N(0, std / sqrt(2L)).

    Source: the sum, He et al. 2016, arXiv:1512.03385; the initialisation, GPT-2 (Radford et al.
    2019), section 2.3; parallel branches, GPT-J and PaLM (Chowdhery et al. 2022, arXiv:2204.02311,
    section 2).

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        pre_norm: Norm before the branch, and after the last block; otherwise after the sum.
        drop_path: Probability of dropping a branch of the last block, in [0, 1); earlier blocks
            drop proportionally less (stochastic depth).
        embedding_norm: Whether a norm follows the embedded tokens, positions added, before the
            first block (BERT, BLOOM).
        parallel: Whether the feed-forward reads what the mixer read, and not what became of it
            (GPT-J, GPT-NeoX).

    Raises:
        ValueError: If parallel branches are to have norms after the sums.
    """

    def __init__(
        self,
        dims: Dims,
        layer: int,
        pre_norm: bool = True,
        drop_path: float = 0.0,
        embedding_norm: bool = False,
        parallel: bool = False,
    ) -> None:
        super().__init__(dims, layer, pre_norm, drop_path)
        self.embedding_norm = embedding_norm
        self.parallel = parallel
        if parallel and not pre_norm:
            raise ValueError(
                "Plain: parallel=true goes with norms before the branches: set pre_norm=true"
            )

    def join(self, x: Tensor, branch: Tensor) -> Tensor:
        return x + branch

    def initialise(self, branch: Part, std: float) -> None:
        branch.initialise(std, (2 * self.dims.n_layers) ** -0.5)


class LayerScale(Residual):
    """x + gain ⊙ F(x), with a learned gain for each channel, small at first.

    A deep stack starts near the identity. Source: Touvron et al. 2021, "Going deeper with Image
    Transformers", arXiv:2103.17239, section 2, equation 4.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        init: The gain at initialisation; None for the paper's: 0.1 up to 18 layers, 1e-5 up to 24,
            1e-6 above.
        pre_norm: Norm before the branch, and after the last block; otherwise after the sum.
        drop_path: Probability of dropping a branch of the last block, in [0, 1); earlier blocks
            drop proportionally less (stochastic depth).
    """

    def __init__(
        self,
        dims: Dims,
        layer: int,
        init: float | None = None,
        pre_norm: bool = True,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__(dims, layer, pre_norm, drop_path)
        init = self._of_depth(dims.n_layers) if init is None else number(self, "init", init)
        self.gain = nn.Parameter(torch.full((dims.d_model,), float(init)))

    @staticmethod
    def _of_depth(n_layers: int) -> float:
        if n_layers <= 18:
            return 0.1
        return 1e-5 if n_layers <= 24 else 1e-6

    def join(self, x: Tensor, branch: Tensor) -> Tensor:
        return torch.addcmul(x, self.gain.to(x.dtype), branch.to(x.dtype))


class ReZero(Residual):
    """x + gain · F(x), with one learned gain for the branch, 0 at first.

    A stack of any depth starts as the identity, and no branch's weights, its positions' included,
    have a gradient in the first step. Source: Bachlechner et al. 2020, "ReZero is All You Need",
    arXiv:2003.04887, equation 2 and section 3.3. Deviations: attention and feed-forward of a layer
    have a gain each; norms stay, unless the config says `encoder.norm: torch.nn.Identity`.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        init: The gain at initialisation.
        pre_norm: Norm before the branch, and after the last block; otherwise after the sum.
        drop_path: Probability of dropping a branch of the last block, in [0, 1); earlier blocks
            drop proportionally less (stochastic depth).
    """

    def __init__(
        self,
        dims: Dims,
        layer: int,
        init: float = 0.0,
        pre_norm: bool = True,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__(dims, layer, pre_norm, drop_path)
        self.gain = nn.Parameter(torch.full((1,), float(number(self, "init", init))))

    def join(self, x: Tensor, branch: Tensor) -> Tensor:
        return torch.addcmul(x, self.gain.to(x.dtype), branch.to(x.dtype))


class DeepNorm(Residual):
    """norm(alpha · x + F(x)), alpha = (2L)^(1/4): a post-norm stack that stays stable when deep.

    Weights start by Xavier's normal rule, whatever `init_std` is: queries and keys with gain 1,
    values, outputs and the feed-forward with beta = (8L)^(-1/4). The constants are the same for an
    encoder alone and a decoder alone. Source: Wang et al. 2022, "DeepNet: Scaling Transformers to
    1,000 Layers", arXiv:2203.00555, figure 2.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        drop_path: Probability of dropping a branch of the last block, in [0, 1); earlier blocks
            drop proportionally less (stochastic depth).
    """

    def __init__(self, dims: Dims, layer: int, drop_path: float = 0.0) -> None:
        super().__init__(dims, layer, pre_norm=False, drop_path=drop_path)
        self.alpha = (2 * dims.n_layers) ** 0.25
        self.beta = (8 * dims.n_layers) ** -0.25

    def join(self, x: Tensor, branch: Tensor) -> Tensor:
        return torch.add(branch, x, alpha=self.alpha)

    def initialise(self, branch: Part, std: float) -> None:
        super().initialise(branch, std)  # what lies in no linear layer
        for name, weight in matrices(branch):
            nn.init.xavier_normal_(weight, gain=1.0 if name in ("q", "k") else self.beta)


ResidualFactory: TypeAlias = Callable[[Dims, int], Residual]
