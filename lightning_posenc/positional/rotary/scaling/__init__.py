"""Extending a trained RoPE past its length: new frequencies, and a temperature of the softmax."""

from lightning_posenc.positional.rotary.scaling.abf import ABF, adjusted_base
from lightning_posenc.positional.rotary.scaling.base import (
    Scaling,
    Spectrum,
    checked_base,
    current_length,
    geometric,
)
from lightning_posenc.positional.rotary.scaling.by_parts import Llama3, NTKByParts, YaRN
from lightning_posenc.positional.rotary.scaling.clipped import Clipped
from lightning_posenc.positional.rotary.scaling.linear import LinearScaling
from lightning_posenc.positional.rotary.scaling.longrope import LongRoPE
from lightning_posenc.positional.rotary.scaling.ntk import DynamicNTK, NTKAware

__all__ = [
    "ABF",
    "Clipped",
    "DynamicNTK",
    "LinearScaling",
    "Llama3",
    "LongRoPE",
    "NTKAware",
    "NTKByParts",
    "Scaling",
    "Spectrum",
    "YaRN",
    "adjusted_base",
    "checked_base",
    "current_length",
    "geometric",
]
