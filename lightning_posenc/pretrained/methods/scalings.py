"""Methods whose formula is one of the scalings of RoPE in `positional.rotary.scaling`."""

from abc import ABC, abstractmethod
from typing import Any

import torch

from lightning_posenc.checks import number
from lightning_posenc.positional.rotary.scaling import (
    Clipped,
    Llama3,
    NTKAware,
    NTKByParts,
    Scaling,
    YaRN,
)
from lightning_posenc.pretrained.frequencies import FrequencyMap
from lightning_posenc.pretrained.methods.base import too_few_pairs
from lightning_posenc.pretrained.methods.static_map import StaticMap, any_map, kept_parameters
from lightning_posenc.pretrained.reading import Pretrained


class ByScaling(StaticMap, ABC):
    """Takes the frequencies of a scaling by factor to / L."""

    @abstractmethod
    def scaling(self, factor: float, trained_length: int) -> Scaling:
        """The scaling, as the package's own models have it."""

    def parameters(self, scaling: Scaling, now: FrequencyMap) -> dict[str, Any] | None:
        """`rope_parameters` of its own, besides what is kept; None if there is no such type."""
        return None

    def changed(self, now: FrequencyMap, trained_length: int, to: int) -> FrequencyMap:
        assert now.base is not None
        scaling = self.scaling(to / trained_length, trained_length)
        width, anywhere = 2 * len(now.inv_freq), torch.zeros(1, 1)
        inv_freq, temperature = scaling(now.base, width, anywhere)
        temperature *= now.temperature
        own = self.parameters(scaling, now)
        if own is None:
            said = any_map(now, inv_freq, temperature, trained_length, to)
        else:
            said = kept_parameters(now) | own
        return FrequencyMap(inv_freq, temperature, said.get("rope_theta"), said)


class NTK(ByScaling):
    """NTK-aware: another base, by which the slowest pair alone is slowed down by to / L."""

    name = "ntk"
    source = NTKAware.source

    def refuses(self, pretrained: Pretrained, to: int) -> str | None:
        return super().refuses(pretrained, to) or too_few_pairs(pretrained)

    def scaling(self, factor: float, trained_length: int) -> Scaling:
        return NTKAware(factor, trained_length)

    def parameters(self, scaling: Scaling, now: FrequencyMap) -> dict[str, Any]:
        assert now.base is not None
        width = 2 * len(now.inv_freq)
        stretched = now.base * scaling.factor ** (width / (width - 2))
        return {"rope_type": "default", "rope_theta": stretched}


class ByPartsNTK(ByScaling):
    """YaRN without its temperature: slow pairs are slowed down by to / L, fast ones are kept.

    Args:
        beta_fast: Turns over L from which on a pair is kept, above beta_slow.
        beta_slow: Turns over L up to which a pair is slowed down, positive.

    Raises:
        ValueError: If one of them makes no sense.
    """

    name = "by-parts"
    source = NTKByParts.source

    def __init__(self, beta_fast: float = 32.0, beta_slow: float = 1.0) -> None:
        self.beta_slow = number(self, "beta_slow", beta_slow, 1e-6)
        self.beta_fast = number(self, "beta_fast", beta_fast, above=beta_slow)

    def scaling(self, factor: float, trained_length: int) -> Scaling:
        return NTKByParts(factor, trained_length, self.beta_fast, self.beta_slow)

    def parameters(self, scaling: Scaling, now: FrequencyMap) -> dict[str, Any]:
        assert isinstance(scaling, NTKByParts | YaRN)
        return {
            "rope_type": "yarn",
            "factor": scaling.factor,
            "original_max_position_embeddings": scaling.trained_length,
            "beta_fast": float(self.beta_fast),
            "beta_slow": float(self.beta_slow),
            # Said, and not left to be inferred: families infer it in more than one way.
            "attention_factor": float(scaling.temperature),
        }


class Yarn(ByPartsNTK):
    """YaRN: slow pairs are slowed down by to / L, fast ones kept, and logits grow by t².

    Args:
        beta_fast: Turns over L from which on a pair is kept, above beta_slow.
        beta_slow: Turns over L up to which a pair is slowed down, positive.

    Raises:
        ValueError: If one of them makes no sense.
    """

    name = "yarn"
    source = YaRN.source

    def scaling(self, factor: float, trained_length: int) -> Scaling:
        return YaRN(factor, trained_length, self.beta_fast, self.beta_slow)


class Llama3Scaling(ByScaling):
    """Llama 3.1's: as by parts, the weight of a pair linear in its number of turns over L.

    Args:
        low_freq_factor: Turns over L up to which a pair is slowed down, positive.
        high_freq_factor: Turns over L from which on a pair is kept, above low_freq_factor.

    Raises:
        ValueError: If one of them makes no sense.
    """

    name = "llama3"
    source = Llama3.source

    def __init__(self, low_freq_factor: float = 1.0, high_freq_factor: float = 4.0) -> None:
        self.low = number(self, "low_freq_factor", low_freq_factor, 1e-6)
        self.high = number(self, "high_freq_factor", high_freq_factor, above=low_freq_factor)

    def scaling(self, factor: float, trained_length: int) -> Scaling:
        return Llama3(factor, trained_length, self.low, self.high)

    def parameters(self, scaling: Scaling, now: FrequencyMap) -> dict[str, Any]:
        return {
            "rope_type": "llama3",
            "factor": scaling.factor,
            "original_max_position_embeddings": scaling.trained_length,
            "low_freq_factor": float(self.low),
            "high_freq_factor": float(self.high),
        }


class ClippedRope(ByScaling):
    """Clipped RoPE: pairs that never finished a turn in training fade out."""

    name = "clipped"
    source = Clipped.source

    def scaling(self, factor: float, trained_length: int) -> Scaling:
        return Clipped(factor, trained_length)
