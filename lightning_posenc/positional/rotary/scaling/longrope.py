"""A factor of its own for each frequency."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_posenc.checks import number, several, wrong
from lightning_posenc.positional.rotary.scaling.base import (
    Scaling,
    Spectrum,
    current_length,
    geometric,
)
from lightning_posenc.positions.paper import Paper


class LongRoPE(Scaling):
    """θ_i / λ_i with a searched λ_i for each pair: one set up to the trained length, one beyond.

    Queries and keys are multiplied by sqrt(1 + ln(factor) / ln(L)). A sequence is long if its
    largest position plus one exceeds L: all its tokens then turn by the long set, so that its
    output depends on where it stands, and on padding and packing. Source: Ding et al. 2024,
    "LongRoPE: Extending LLM Context Window Beyond 2 Million Tokens", arXiv:2402.13753, equation 2
    and section 3.3; two sets and temperature as in Phi-3, "longrope" in Hugging Face. Deviation:
    like there, the first tokens are interpolated as all others (the paper's n̂ is 0), and each
    sequence has its own length instead of the batch's longest.

    Args:
        factor: s, how many times longer sequences become, at least 1.
        trained_length: L, the longest sequence of the training.
        short_factors: λ_i within L, positive, one for each pair; None takes 1 for all.
        long_factors: λ_i beyond L, positive, one for each pair; None takes `factor` for all.

    Raises:
        ValueError: If one of them makes no sense, or their number is not that of the pairs.
    """

    source = Paper(
        "Ding et al.",
        2024,
        "LongRoPE: Extending LLM Context Window Beyond 2 Million Tokens",
        "2402.13753",
        "equation 2 and section 3.3",
    )
    equation = (
        r"\theta_i' = \theta_i / \lambda_i, \quad \lambda = \begin{cases}"
        r" \lambda^{\text{short}} & l \le L \\ \lambda^{\text{long}} & l > L \end{cases}, \quad "
        r"q, k \leftarrow \sqrt{1 + \tfrac{\ln s}{\ln L}} \; (q, k)"
    )

    dynamic = True

    def __init__(
        self,
        factor: float,
        trained_length: int = 2048,
        short_factors: Sequence[float] | None = None,
        long_factors: Sequence[float] | None = None,
    ) -> None:
        super().__init__(factor, trained_length)
        for name, factors in (("short_factors", short_factors), ("long_factors", long_factors)):
            for each in () if factors is None else several(self, name, factors):
                number(self, name, each, 1e-6)
        self.short_factors = short_factors
        self.long_factors = long_factors

    @property
    def temperature(self) -> float:
        """Factor on queries and keys."""
        return math.sqrt(1 + math.log(self.factor) / math.log(self.trained_length))

    def __call__(self, base: float, width: int, positions: Tensor) -> Spectrum:
        inv_freq = geometric(base, width, positions.device)
        short = self._divisors("short_factors", 1.0, inv_freq)
        long = self._divisors("long_factors", self.factor, inv_freq)
        is_long = current_length(positions) > self.trained_length
        return Spectrum(inv_freq / torch.where(is_long, long, short), self.temperature)

    def _divisors(self, name: str, default: float, inv_freq: Tensor) -> Tensor:
        factors: Sequence[float] | None = getattr(self, name)
        if factors is None:
            return torch.full_like(inv_freq, default)
        if len(factors) != len(inv_freq):
            allowed = f"name one for each of the {len(inv_freq)} pairs of channels"
            raise wrong(self, name, factors, allowed)
        return inv_freq.new_tensor(factors)
