"""Rotary encodings and their scalings in the words of Hugging Face, `rope_parameters`, and back.

Shapes: n pairs of channels that turn.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial, singledispatch
from typing import Any

import torch

from lightning_posenc.positional import NoPE, PartialRoPE, PositionalEncoding, PRoPE, RoPE
from lightning_posenc.positional.base import Factory
from lightning_posenc.positional.rotary.scaled import ScaledRotary
from lightning_posenc.positional.rotary.scaling import (
    DynamicNTK,
    LinearScaling,
    Llama3,
    LongRoPE,
    NTKAware,
    NTKByParts,
    Scaling,
    YaRN,
    geometric,
)

_THETA = 10_000.0


def spelled(positional: PositionalEncoding) -> dict[str, Any]:
    """The `rope_parameters` that make an encoding.

    Raises:
        ValueError: If none do: which option is in the way, and what to set.
    """
    if isinstance(positional, NoPE):
        return {"rope_type": "proportional", "rope_theta": _THETA, "partial_rotary_factor": 0.0}
    if not isinstance(positional, ScaledRotary) or type(positional) not in (
        RoPE,
        PartialRoPE,
        PRoPE,
    ):
        raise ValueError(f"positional={type(positional).__name__}: set positional=RoPE")
    if positional.layout != "half":
        raise ValueError("positional.layout=interleaved: set positional.layout=half")
    found: dict[str, Any] = {"rope_type": "default", "rope_theta": float(positional.base)}
    if isinstance(positional, PRoPE):
        found |= {"rope_type": "proportional", "partial_rotary_factor": _proportion(positional)}
        if positional.scaling is None:
            return found
        if isinstance(positional.scaling, LinearScaling):
            return found | {"factor": float(positional.scaling.factor)}
        kind = type(positional.scaling).__name__
        raise ValueError(f"positional.scaling={kind} of PRoPE: set positional=RoPE")
    if isinstance(positional, PartialRoPE):
        found["partial_rotary_factor"] = _part(positional.width, positional.dims.d_head)
    if positional.scaling is None:
        return found
    _check_whole(positional, positional.scaling)
    return found | _spelled(positional.scaling, positional)


def longest(positional: PositionalEncoding, trained_length: int) -> int:
    """The `max_position_embeddings` that goes with a spelling.

    Args:
        positional: The encoding.
        trained_length: Longest sequence of the training, where no scaling says it.
    """
    scaling = getattr(positional, "scaling", None)
    if scaling is None:
        return trained_length
    if isinstance(scaling, DynamicNTK):  # which compares with it
        return scaling.trained_length
    return round(scaling.trained_length * scaling.factor)


@singledispatch
def _spelled(scaling: Scaling, positional: ScaledRotary) -> dict[str, Any]:
    raise ValueError(f"positional.scaling={type(scaling).__name__}: leave positional.scaling out")


@_spelled.register
def _(scaling: LinearScaling, positional: ScaledRotary) -> dict[str, Any]:
    return {"rope_type": "linear", "factor": float(scaling.factor)}


@_spelled.register
def _(scaling: NTKAware, positional: ScaledRotary) -> dict[str, Any]:
    width = positional.width
    return {"rope_theta": positional.base * scaling.factor ** (width / (width - 2))}


@_spelled.register
def _(scaling: DynamicNTK, positional: ScaledRotary) -> dict[str, Any]:
    return {"rope_type": "dynamic", "factor": float(scaling.factor)}


@_spelled.register(YaRN)
@_spelled.register(NTKByParts)
def _(scaling: YaRN | NTKByParts, positional: ScaledRotary) -> dict[str, Any]:
    if scaling.ramp != "dimension":  # Hugging Face has no such ramp, but room for any factors
        inv_freq = geometric(positional.base, positional.width, torch.device("cpu"))
        kept = scaling.kept(inv_freq, positional.base)
        divisors = (1 / (kept + (1 - kept) / scaling.factor)).tolist()
        return _divided(divisors, divisors, scaling, scaling.temperature)
    return {
        "rope_type": "yarn",
        "factor": float(scaling.factor),
        "original_max_position_embeddings": scaling.trained_length,
        "attention_factor": scaling.temperature,
        "beta_fast": float(scaling.beta_fast),
        "beta_slow": float(scaling.beta_slow),
        "truncate": scaling.truncate,
    }


@_spelled.register
def _(scaling: Llama3, positional: ScaledRotary) -> dict[str, Any]:
    return {
        "rope_type": "llama3",
        "factor": float(scaling.factor),
        "original_max_position_embeddings": scaling.trained_length,
        "low_freq_factor": float(scaling.low_freq_factor),
        "high_freq_factor": float(scaling.high_freq_factor),
    }


@_spelled.register
def _(scaling: LongRoPE, positional: ScaledRotary) -> dict[str, Any]:
    n = positional.width // 2
    short = list(scaling.short_factors or [1.0] * n)
    long = list(scaling.long_factors or [float(scaling.factor)] * n)
    return _divided(short, long, scaling, scaling.temperature)


def _divided(
    short: list[float], long: list[float], scaling: Scaling, temperature: float
) -> dict[str, Any]:
    return {
        "rope_type": "longrope",
        "factor": float(scaling.factor),
        "original_max_position_embeddings": scaling.trained_length,
        "attention_factor": temperature,
        "short_factor": [float(each) for each in short],
        "long_factor": [float(each) for each in long],
    }


def _check_whole(positional: ScaledRotary, scaling: Scaling) -> None:
    """Of a part of the channels, Hugging Face scales that part alone."""
    temperature = getattr(scaling, "temperature", 1.0)
    if isinstance(positional, PartialRoPE) and temperature != 1:
        raise ValueError(
            f"positional.scaling={type(scaling).__name__} of PartialRoPE multiplies all of a "
            "query, there a part of it: set positional=RoPE, or NTKByParts"
        )


def _part(n: int, of: int) -> float:
    """A fraction of which they make n of the whole again, whose product they cut off."""
    return n / of if int(of * (n / of)) == n else (n + 0.5) / of


def _proportion(positional: PRoPE) -> float:
    d_head, channels = positional.dims.d_head, 2 * positional.n_turning
    exact = channels / d_head
    return exact if int(exact * d_head // 2) == positional.n_turning else (channels + 0.5) / d_head


def encoding_of(config: Any, d_head: int) -> Factory:
    """What makes the rotary encoding of a Hugging Face config.

    Args:
        config: With `rope_parameters`, one set for all layers.
        d_head: Channels of a head.

    Raises:
        ValueError: If there is no counterpart.
    """
    said: Mapping[str, Any] = config.rope_parameters
    kind, base = said.get("rope_type", "default"), said.get("rope_theta", _THETA)
    fraction = said.get("partial_rotary_factor", 1.0)
    if any(isinstance(value, dict) for value in said.values()):
        raise ValueError("rope_parameters differ by layer type, which has no counterpart here")
    if kind == "proportional":
        n_turning = int(fraction * d_head // 2)
        factor = said.get("factor") or 1.0
        if n_turning == 0:
            return NoPE
        scaling = None if factor == 1 else LinearScaling(factor)
        return partial(PRoPE, fraction=2 * n_turning / d_head, base=base, scaling=scaling)
    options: dict[str, Any] = {"base": base}
    if kind != "default":
        if kind not in _READ:
            raise ValueError(f"rope_type={kind} has no counterpart here")
        options["scaling"] = _READ[kind](said, config.max_position_embeddings)
    width = int(d_head * fraction)
    if width == d_head:
        return partial(RoPE, **options)
    if getattr(options.get("scaling"), "temperature", 1.0) != 1:
        raise ValueError(f"rope_type={kind} on a part of the channels has no counterpart here")
    return partial(PartialRoPE, fraction=width / d_head, **options)


def _linear(said: Mapping[str, Any], longest: int) -> Scaling:
    return LinearScaling(said["factor"])


def _dynamic(said: Mapping[str, Any], longest: int) -> Scaling:
    return DynamicNTK(said["factor"], longest)


def _yarn(said: Mapping[str, Any], longest: int) -> Scaling:
    trained = said["original_max_position_embeddings"]
    factor = said.get("factor") or longest / trained
    mscale, all_dim = said.get("mscale"), said.get("mscale_all_dim")
    temperature = said.get("attention_factor")
    scaled: dict[str, Any] = {}
    tenth = 0.1 * math.log(factor)
    if temperature is not None:
        if temperature < 1 or (tenth == 0 and temperature != 1):
            raise ValueError(f"attention_factor={temperature} has no counterpart here")
        scaled = {"mscale": (temperature - 1) / tenth if tenth else 1.0}
    elif mscale and all_dim:
        scaled = {"mscale": mscale, "mscale_all_dim": all_dim}
    return YaRN(
        factor,
        trained,
        beta_fast=said.get("beta_fast") or 32.0,
        beta_slow=said.get("beta_slow") or 1.0,
        truncate=said.get("truncate", True),
        **scaled,
    )


def _llama3(said: Mapping[str, Any], longest: int) -> Scaling:
    trained = said["original_max_position_embeddings"]
    return Llama3(said["factor"], trained, said["low_freq_factor"], said["high_freq_factor"])


def _longrope(said: Mapping[str, Any], longest: int) -> Scaling:
    trained = said["original_max_position_embeddings"]
    factor = said.get("factor") or longest / trained
    if (temperature := said.get("attention_factor")) is not None:
        factor = math.exp((temperature**2 - 1) * math.log(trained))
    return LongRoPE(max(factor, 1.0), trained, said["short_factor"], said["long_factor"])


_READ: dict[str, Callable[[Mapping[str, Any], int], Scaling]] = {
    "linear": _linear,
    "dynamic": _dynamic,
    "yarn": _yarn,
    "llama3": _llama3,
    "longrope": _longrope,
}
