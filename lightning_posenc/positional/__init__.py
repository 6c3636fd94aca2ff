"""Positional encodings, one published method per file.

Sizes and hooks are in `base`; `compose` puts several into one model.
"""

from lightning_posenc.dims import Dims
from lightning_posenc.positional.absolute import Absolute
from lightning_posenc.positional.alibi import ALiBi
from lightning_posenc.positional.base import Factory, PositionalEncoding, Site
from lightning_posenc.positional.compose import Chain, PerLayer
from lightning_posenc.positional.learned_absolute import LearnedAbsolute
from lightning_posenc.positional.learned_relative_bias import LearnedRelativeBias
from lightning_posenc.positional.nope import NoPE
from lightning_posenc.positional.relative_bias import RelativeBias
from lightning_posenc.positional.rope import RoPE
from lightning_posenc.positional.shaw import ShawRelative
from lightning_posenc.positional.sinusoidal import Sinusoidal
from lightning_posenc.positional.t5 import T5Bias

__all__ = [
    "ALiBi",
    "Absolute",
    "Chain",
    "Dims",
    "Factory",
    "LearnedAbsolute",
    "LearnedRelativeBias",
    "NoPE",
    "PerLayer",
    "PositionalEncoding",
    "RelativeBias",
    "RoPE",
    "ShawRelative",
    "Sinusoidal",
    "Site",
    "T5Bias",
]
