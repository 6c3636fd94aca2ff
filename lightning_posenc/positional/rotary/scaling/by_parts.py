"""Interpolation of low frequencies only, with a ramp to the high ones."""

import math
from abc import ABC, abstractmethod
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from lightning_posenc.checks import number, one_of
from lightning_posenc.positional.rotary.scaling.base import Scaling, Spectrum, geometric
from lightning_posenc.positions.paper import Paper

Ramp: TypeAlias = Literal["dimension", "rotations"]


class ByParts(Scaling, ABC):
    """θ_i·γ_i + θ_i/factor·(1 - γ_i); a subclass says by which γ a frequency stays."""

    @abstractmethod
    def kept(self, inv_freq: Tensor, base: float) -> Tensor:
        """γ of each frequency θ_i = base^(-i/n), in [0, 1]: (n,)."""

    @property
    @abstractmethod
    def temperature(self) -> float:
        """Factor on queries and keys."""

    def __call__(self, base: float, width: int, positions: Tensor) -> Spectrum:
        inv_freq = geometric(base, width, positions.device)
        kept = self.kept(inv_freq, base)
        return Spectrum(inv_freq * kept + inv_freq / self.factor * (1 - kept), self.temperature)

    def by_turns(self, inv_freq: Tensor, low: float, high: float) -> Tensor:
        """From 0 to 1 as pairs turn `low` to `high` times over the trained length: (n,)."""
        turns = self.trained_length * inv_freq / (2 * math.pi)
        return ((turns - low) / (high - low)).clamp(0, 1)


class Ramped(ByParts, ABC):
    """γ goes from 1 to 0 between two numbers of turns, linearly in these or in a pair's index.

    Args:
        factor: s, how many times longer sequences become, at least 1.
        trained_length: L, the longest sequence of the training.
        beta_fast: Turns over L from which on a frequency stays, above beta_slow.
        beta_slow: Turns over L up to which a frequency is interpolated, positive.
        ramp: What γ is linear in, "dimension" or "rotations".
        truncate: Round the ends of the ramp "dimension" outwards to whole pairs.

    Raises:
        ValueError: If one of them makes no sense.
    """

    def __init__(
        self,
        factor: float,
        trained_length: int = 2048,
        beta_fast: float = 32.0,
        beta_slow: float = 1.0,
        ramp: Ramp = "dimension",
        truncate: bool = True,
    ) -> None:
        super().__init__(factor, trained_length)
        self.beta_slow = number(self, "beta_slow", beta_slow, 1e-6)
        self.beta_fast = number(self, "beta_fast", beta_fast, above=beta_slow)
        self.ramp = one_of(self, "ramp", ramp, get_args(Ramp))
        self.truncate = truncate

    def kept(self, inv_freq: Tensor, base: float) -> Tensor:
        if self.ramp == "rotations":
            return self.by_turns(inv_freq, self.beta_slow, self.beta_fast)
        low, high = self._ends(base, 2 * len(inv_freq))
        index = torch.arange(len(inv_freq), device=inv_freq.device).float()
        return 1 - ((index - low) / (high - low)).clamp(0, 1)

    def _ends(self, base: float, width: int) -> tuple[float, float]:
        """Index of the pair that turns beta_fast times over L, and of that of beta_slow times."""
        low, high = (
            width * math.log(self.trained_length / (turns * 2 * math.pi)) / (2 * math.log(base))
            for turns in (self.beta_fast, self.beta_slow)
        )
        if self.truncate:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, width - 1)
        return low, high + 0.001 if low == high else high


class NTKByParts(Ramped):
    """θ_i·γ_i + θ_i/factor·(1 - γ_i): γ_i goes from 1 to 0 as frequencies fall.

    A pair that turns `beta_fast` times or more over the trained length L keeps its frequency, one
    that turns `beta_slow` times or less is interpolated. Source: Peng et al. 2023, "YaRN: Efficient
    Context Window Extension of Large Language Models", arXiv:2309.00071, definition 2 in section
    3.2. Deviation: as the authors' code and Hugging Face, γ is linear in the index i of the pair;
    ramp="rotations" gives the paper's γ, linear in the number L·θ_i/2π of turns.

    Args:
        factor: s, how many times longer sequences become, at least 1.
        trained_length: L, the longest sequence of the training.
        beta_fast: Turns over L from which on a frequency stays (the paper's β), above beta_slow.
        beta_slow: Turns over L up to which a frequency is interpolated (the paper's α), positive.
        ramp: What γ is linear in, "dimension" or "rotations".
        truncate: Round the ends of the ramp "dimension" outwards to whole pairs.

    Raises:
        ValueError: If one of them makes no sense.
    """

    source = Paper(
        "Peng et al.",
        2023,
        "YaRN: Efficient Context Window Extension of Large Language Models",
        "2309.00071",
        "definition 2",
    )
    equation = (
        r"\theta_i' = \theta_i \gamma_i + \frac{\theta_i}{s} (1 - \gamma_i), \quad "
        r"\gamma_i \text{ falls from } 1 \text{ to } 0 \text{ with the frequency}"
    )

    @property
    def temperature(self) -> float:
        return 1.0


class YaRN(Ramped):
    """NTKByParts, and queries and keys times t = 0.1·ln(factor) + 1: the logits grow by t².

    Source: Peng et al. 2023, "YaRN: Efficient Context Window Extension of Large Language Models",
    arXiv:2309.00071, definition 3 and equation 22. Deviation: see `NTKByParts`.

    Args:
        factor: s, how many times longer sequences become, at least 1.
        trained_length: L, the longest sequence of the training.
        beta_fast: Turns over L from which on a frequency stays (the paper's β), above beta_slow.
        beta_slow: Turns over L up to which a frequency is interpolated (the paper's α), positive.
        ramp: What γ is linear in, "dimension" or "rotations".
        truncate: Round the ends of the ramp "dimension" outwards to whole pairs.
        mscale: m in t = (0.1·m·ln(factor) + 1) / (0.1·m'·ln(factor) + 1), as in DeepSeek-V2;
            not negative.
        mscale_all_dim: m' therein, not negative.

    Raises:
        ValueError: If one of them makes no sense.
    """

    source = Paper(
        "Peng et al.",
        2023,
        "YaRN: Efficient Context Window Extension of Large Language Models",
        "2309.00071",
        "definition 3 and equation 22",
    )
    equation = (
        r"\theta_i' = \theta_i \gamma_i + \frac{\theta_i}{s} (1 - \gamma_i), \quad "
        r"q, k \leftarrow t\,(q, k), \quad t = 0.1 \ln s + 1"
    )

    def __init__(
        self,
        factor: float,
        trained_length: int = 2048,
        beta_fast: float = 32.0,
        beta_slow: float = 1.0,
        ramp: Ramp = "dimension",
        truncate: bool = True,
        mscale: float = 1.0,
        mscale_all_dim: float = 0.0,
    ) -> None:
        super().__init__(factor, trained_length, beta_fast, beta_slow, ramp, truncate)
        self.mscale = number(self, "mscale", mscale, 0)
        self.mscale_all_dim = number(self, "mscale_all_dim", mscale_all_dim, 0)

    @property
    def temperature(self) -> float:
        tenth = 0.1 * math.log(self.factor)
        return (self.mscale * tenth + 1) / (self.mscale_all_dim * tenth + 1)


class Llama3(ByParts):
    """θ_i·γ_i + θ_i/factor·(1 - γ_i), γ linear in the number of turns over the trained length.

    γ_i = (L·θ_i/2π - low) / (high - low), clipped to [0, 1]: `NTKByParts` with the paper's ramp
    and narrower bounds. Source: Grattafiori et al. 2024, "The Llama 3 Herd of Models",
    arXiv:2407.21783, whose code for Llama 3.1 it is; "llama3" in Hugging Face.

    Args:
        factor: s, how many times longer sequences become, at least 1; 8 in Llama 3.1.
        trained_length: L, the longest sequence of the training.
        low_freq_factor: Turns over L up to which a frequency is interpolated, positive.
        high_freq_factor: Turns over L from which on a frequency stays, above low_freq_factor.

    Raises:
        ValueError: If one of them makes no sense.
    """

    source = Paper("Grattafiori et al.", 2024, "The Llama 3 Herd of Models", "2407.21783")
    equation = (
        r"\theta_i' = \theta_i \gamma_i + \frac{\theta_i}{s} (1 - \gamma_i), \quad "
        r"\gamma_i = \operatorname{clip}_{[0,1]} \frac{L\theta_i/2\pi -"
        r" \mathrm{low}}{\mathrm{high} - \mathrm{low}}"
    )

    def __init__(
        self,
        factor: float,
        trained_length: int = 8192,
        low_freq_factor: float = 1.0,
        high_freq_factor: float = 4.0,
    ) -> None:
        super().__init__(factor, trained_length)
        self.low_freq_factor = number(self, "low_freq_factor", low_freq_factor, 1e-6)
        self.high_freq_factor = number(
            self, "high_freq_factor", high_freq_factor, above=low_freq_factor
        )

    def kept(self, inv_freq: Tensor, base: float) -> Tensor:
        return self.by_turns(inv_freq, self.low_freq_factor, self.high_freq_factor)

    @property
    def temperature(self) -> float:
        return 1.0
