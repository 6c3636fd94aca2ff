"""Weights of a learned spectral norm: attention whose entropy cannot collapse suddenly."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lightning_posenc.model.linear import linears


class SigmaReparam(nn.Module):
    """W̃ = gain / sigma(W) · W, where sigma(W) is the largest singular value of W.

    sigma(W) = |W v|, with v from a power iteration: v is a constant to the gradient, which is then
    that of sigma. `advance` makes one iteration; the forward changes nothing, so that a weight may
    be read twice, or anew by activation checkpointing. Always in float32 at least. Where W turns
    fast, v lags behind and the norm exceeds the gain (1.07 times on average, 1.5 at worst, in the
    first 100 steps of AdamW at 1e-3 without warm-up, width 32).

    Source: Zhai et al. 2023, "Stabilizing Transformer Training by Preventing Attention Entropy
    Collapse", arXiv:2303.06296, equation 5, gain 1 at first. Projections stacked in one layer (the
    queries', keys' and values') count as matrices of their own, as the bound in the paper's theorem
    3.1 wants it.

    Args:
        weight: W, (sum of heights, d_in), as initialised.
        heights: Rows of each matrix stacked in W.
    """

    v: Tensor

    def __init__(self, weight: Tensor, heights: Iterable[int]) -> None:
        super().__init__()
        self.heights = tuple(heights)
        first = [_leading(part) for part in weight.detach().split(self.heights)]
        self.register_buffer("v", torch.stack(first))  # (matrices, d_in)
        self.gain = nn.Parameter(torch.ones(len(self.heights), device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):
            # A copy of v: it may advance before the backward pass wants what it was.
            parts = zip(self._parts(weight), _wide(self.v.clone()), _wide(self.gain), strict=True)
            scaled = [part * (gain / _norm(part @ v)) for part, v, gain in parts]
            return torch.cat(scaled).to(weight.dtype)

    @torch.no_grad()
    def advance(self, weight: Tensor) -> None:
        """Make one power iteration: v ← WᵀWv / |WᵀWv|."""
        with torch.autocast(weight.device.type, enabled=False):
            parts = zip(self._parts(weight), _wide(self.v), strict=True)
            mapped = [part.T @ (part @ v) for part, v in parts]
            self.v.copy_(torch.stack([each / _norm(each) for each in mapped]))

    def _parts(self, weight: Tensor) -> tuple[Tensor, ...]:
        return _wide(weight).split(self.heights)


def reparametrise(module: nn.Module) -> None:
    """Give every linear layer in a module a weight of learned spectral norm, 1 at first.

    Call it after initialisation. By torch's parametrisations: the trained matrix is then
    `parametrizations.weight.original`. Such a module can be copied and its state saved; torch
    refuses to pickle it whole.
    """
    for linear, heights in list(linears(module)):
        reparam = SigmaReparam(linear.weight, heights.values())
        parametrize.register_parametrization(linear, "weight", reparam)


def advance(module: nn.Module) -> None:
    """Make one power iteration for every reparametrised weight in a module."""
    for part in module.modules():
        if isinstance(part, parametrize.ParametrizationList):
            for each in part:
                if isinstance(each, SigmaReparam):
                    each.advance(part.original)


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _norm(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x).clamp_min(1e-12)


def _leading(weight: Tensor) -> Tensor:
    """The right singular vector of the largest singular value."""
    rank = min(16, *weight.shape)
    return torch.svd_lowrank(_wide(weight), q=rank, niter=16)[2][:, 0]
