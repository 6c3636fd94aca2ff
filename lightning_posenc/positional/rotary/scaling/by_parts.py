"""Interpolation of low frequencies only, with a ramp to the high ones."""

import math
from typing import ClassVar, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from lightning_posenc.checks import number, one_of
from lightning_posenc.positional.rotary.scaling.base import Scaling, Spectrum, geometric
from lightning_posenc.positions.paper import Paper

Ramp: TypeAlias = Literal["dimension", "rotations"]


class NTKByParts(Scaling):
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

    bounds: ClassVar[tuple[str, str]] = ("beta_slow", "beta_fast")  # as the constructor calls them

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
        slow, fast = self.bounds
        self.beta_slow = number(self, slow, beta_slow, 1e-6)
        self.beta_fast = number(self, fast, beta_fast, above=beta_slow)
        self.ramp = one_of(self, "ramp", ramp, get_args(Ramp))
        self.truncate = truncate

    @property
    def temperature(self) -> float:
        """Factor on queries and keys."""
        return 1.0

    def __call__(self, base: float, width: int, positions: Tensor) -> Spectrum:
        inv_freq = geometric(base, width, positions.device)
        if self.ramp == "rotations":
            low, high = self.beta_slow, self.beta_fast
            turns = self.trained_length * inv_freq / (2 * math.pi)
            kept = ((turns - low) / (high - low)).clamp(0, 1)
        else:
            low, high = self._ends(base, width)
            index = torch.arange(len(inv_freq), device=inv_freq.device).float()
            kept = 1 - ((index - low) / (high - low)).clamp(0, 1)
        blended = inv_freq * kept + inv_freq / self.factor * (1 - kept)
        return Spectrum(blended, self.temperature)

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


class YaRN(NTKByParts):
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


class Llama3(NTKByParts):
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

    bounds = ("low_freq_factor", "high_freq_factor")

    def __init__(
        self,
        factor: float,
        trained_length: int = 8192,
        low_freq_factor: float = 1.0,
        high_freq_factor: float = 4.0,
    ) -> None:
        super().__init__(
            factor,
            trained_length,
            beta_fast=high_freq_factor,
            beta_slow=low_freq_factor,
            ramp="rotations",
        )
