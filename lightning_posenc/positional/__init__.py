"""Positional encodings, one published method per file.

Hooks are in `base`; `absolute/`, `bias/`, `rotary/` and `content/` hold the methods by what they
change; `compose/` puts several into one model; `scaling` extends a trained RoPE.
"""

from lightning_posenc.dims import Dims
from lightning_posenc.positional.absolute.base import Absolute
from lightning_posenc.positional.absolute.learned_absolute import LearnedAbsolute
from lightning_posenc.positional.absolute.sinusoidal import Sinusoidal
from lightning_posenc.positional.base import Factory, PositionalEncoding, Site
from lightning_posenc.positional.bias.alibi import ALiBi
from lightning_posenc.positional.bias.base import RelativeBias
from lightning_posenc.positional.bias.learned_relative_bias import LearnedRelativeBias
from lightning_posenc.positional.bias.shaw import ShawRelative
from lightning_posenc.positional.bias.t5 import T5Bias
from lightning_posenc.positional.compose import Chain, Droppable, FirstLayers, PerLayer
from lightning_posenc.positional.nope import NoPE
from lightning_posenc.positional.rotary.rope import RoPE

__all__ = [
    "ALiBi",
    "Absolute",
    "Chain",
    "Dims",
    "Droppable",
    "Factory",
    "FirstLayers",
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
