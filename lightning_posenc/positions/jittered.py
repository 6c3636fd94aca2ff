"""Positions shifted, jittered and scaled at random."""

import math

import torch
from torch import Tensor

from lightning_posenc.checks import number
from lightning_posenc.draws import sent
from lightning_posenc.positions.base import Positions
from lightning_posenc.positions.derived import Derived, one_each
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.sequences import Sequences


class Jittered(Derived):
    """λ · (p_i + Δ + ε_i) in training, p_i otherwise; real numbers, always.

    Δ is uniform in ±max_global_shift and log λ in ±log max_global_scaling, once a sequence; ε_i is
    uniform in ±max_local_shift, for every token. On several axes each has its own Δ and ε.
    Positions may become negative, which an encoding with a table refuses.

    Source: Likhomanenko et al. 2021, "CAPE: Encoding Relative Positions with Continuous Augmented
    Positional Embeddings", arXiv:2106.03143.

    Deviation: positions are counted in tokens, on every axis; the paper has images in [-1, 1].
    `max_global_shift` and the others are in that unit.

    Args:
        max_global_shift: Largest Δ, in tokens, not negative.
        max_local_shift: Largest ε, in tokens, not negative: up to 0.5 neighbours keep their order.
        max_global_scaling: Largest λ, at least 1.
        mean_normalize: Subtract the sequence's mean position first, also outside of training: for
            sequences of like extent and unlike density, such as speech.
        of: Where tokens are before; None counts 0, 1, 2, …

    Raises:
        ValueError: If a shift is negative or the scaling less than 1.
    """

    source = Paper(
        "Likhomanenko et al.",
        2021,
        "CAPE: Encoding Relative Positions with Continuous Augmented Positional Embeddings",
        "2106.03143",
    )
    equation = (
        r"p_t' = \lambda \, (p_t + \Delta + \varepsilon_t), \quad \Delta \sim U(\pm\Delta_{\max}),"
        r" \quad "
        r"\varepsilon_t \sim U(\pm\varepsilon_{\max}), \quad \ln\lambda \sim"
        r" U(\pm\ln\lambda_{\max})"
    )

    def __init__(
        self,
        max_global_shift: float = 5.0,
        max_local_shift: float = 0.5,
        max_global_scaling: float = 1.03,
        mean_normalize: bool = False,
        of: Positions | None = None,
    ) -> None:
        super().__init__(of)
        self.max_global_shift = number(self, "max_global_shift", max_global_shift, 0)
        self.max_local_shift = number(self, "max_local_shift", max_local_shift, 0)
        self.max_global_scaling = number(self, "max_global_scaling", max_global_scaling, 1)
        self.mean_normalize = mean_normalize

    def change(self, positions: Tensor, sequences: Sequences) -> Tensor:
        positions, device = positions.float(), positions.device
        if self.mean_normalize:
            positions = positions - _mean(positions, sequences.real)
        if not self.training:
            return positions
        shift = uniform(one_each(positions, sequences.number), self.max_global_shift)
        jitter = uniform((sequences.number, *positions.shape[1:]), self.max_local_shift)
        scale = uniform((sequences.number, *[1] * (positions.dim() - 1)), 1.0)
        scale = (scale * math.log(self.max_global_scaling)).exp()
        return (positions + sent(shift + jitter, device)) * sent(scale, device)


def _mean(positions: Tensor, real: Tensor | None) -> Tensor:
    """The mean position of each sequence over its real tokens, (1|B, 1) or (1|B, 1, A)."""
    if real is None:
        return positions.mean(dim=1, keepdim=True)
    counts = real.view(*real.shape, *[1] * (positions.dim() - 2))
    total = torch.where(counts, positions, 0.0).sum(dim=1, keepdim=True)
    return total / counts.sum(dim=1, keepdim=True).clamp(min=1)


def uniform(shape: tuple[int, ...], bound: float) -> Tensor:
    """Uniform in ±bound."""
    return (2 * torch.rand(shape, dtype=torch.float32, device="cpu") - 1) * bound
