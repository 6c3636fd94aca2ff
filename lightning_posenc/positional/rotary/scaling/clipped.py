"""Low frequencies that fade out."""

import math

import torch
from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.positional.rotary.scaling.base import Scaling, Spectrum, geometric
from lightning_posenc.positions.paper import Paper


class Clipped(Scaling):
    """θ_i · (1 + cos(π·t_i)) / 2 for the n lowest frequencies, where t_i goes from 0 to 1 evenly.

    Pairs that never finish a turn within the trained length see angles beyond it that no training
    showed: they are slowed down, the lowest to 0. Source: Li et al. 2026, "CoPE: Clipped RoPE as a
    Scalable Free Lunch for Long Context LLMs", arXiv:2602.05258, whose code takes the 20 lowest of
    64; it shares its name with `CoPE` and nothing else. Deviation: unless `pairs` says otherwise, n
    is the number of pairs with 2π/θ_i > trained_length.

    Args:
        factor: How many times longer sequences become, at least 1; not used, here for all to be
            alike: the frequencies are the same at every length.
        trained_length: Longest sequence of the training.
        pairs: n, not negative; None for those that never finish a turn.

    Raises:
        ValueError: If one of them makes no sense, or there are fewer pairs.
    """

    source = Paper(
        "Li et al.",
        2026,
        "CoPE: Clipped RoPE as a Scalable Free Lunch for Long Context LLMs",
        "2602.05258",
    )
    equation = (
        r"\theta_i' = \theta_i \, \frac{1 + \cos(\pi t_i)}{2} \text{ for the } n \text{ lowest"
        r" frequencies, }"
        r" t_i \text{ evenly from } 0 \text{ to } 1"
    )

    def __init__(self, factor: float, trained_length: int = 2048, pairs: int | None = None) -> None:
        super().__init__(factor, trained_length)
        self.pairs = None if pairs is None else whole(self, "pairs", pairs, 0)

    def __call__(self, base: float, width: int, positions: Tensor) -> Spectrum:
        inv_freq = geometric(base, width, positions.device)
        n = self.pairs
        if n is None:
            # Of numbers, not of the tensor: a GPU need not be waited for, and a program exports.
            turns = (2 * math.pi * base ** (2 * i / width) for i in range(len(inv_freq)))
            n = sum(turn > self.trained_length for turn in turns)
        if n > len(inv_freq):
            raise ValueError(f"Clipped: pairs={n} must be at most {len(inv_freq)}, those that turn")
        fade = torch.linspace(0, math.pi, n, dtype=torch.float64, device=inv_freq.device)
        kept = torch.ones_like(inv_freq)
        # cos(π) in float32 leaves 0 as it should; the rest is rounded once.
        kept[len(kept) - n :] = (0.5 * (1 + fade.cos())).float()
        return Spectrum(inv_freq * kept)
