"""Positional encodings, one published method per file.

Hooks are in `base`; `absolute/`, `bias/`, `rotary/` and `content/` hold the methods by what they
change; `compose/` puts several into one model; `scaling` extends a trained RoPE.
"""

from lightning_posenc.dims import Dims
from lightning_posenc.positional.absolute.base import Absolute
from lightning_posenc.positional.absolute.complex_embedding import ComplexEmbedding
from lightning_posenc.positional.absolute.concatenated import Concatenated
from lightning_posenc.positional.absolute.laplacian import LaplacianPE
from lightning_posenc.positional.absolute.learnable_fourier import LearnableFourier
from lightning_posenc.positional.absolute.learnable_frequencies import LearnableFrequencies
from lightning_posenc.positional.absolute.learned_absolute import LearnedAbsolute
from lightning_posenc.positional.absolute.learned_grid import LearnedGrid
from lightning_posenc.positional.absolute.random_walk import RandomWalkPE
from lightning_posenc.positional.absolute.sinusoidal import Sinusoidal
from lightning_posenc.positional.base import Factory, PositionalEncoding, Site
from lightning_posenc.positional.bias.alibi import ALiBi
from lightning_posenc.positional.bias.bam import BAM
from lightning_posenc.positional.bias.base import RelativeBias
from lightning_posenc.positional.bias.deberta import DeBERTa
from lightning_posenc.positional.bias.decomposed import DecomposedRelative
from lightning_posenc.positional.bias.dynamic_bias import DynamicBias
from lightning_posenc.positional.bias.fire import FIRE
from lightning_posenc.positional.bias.graph_distance import GraphDistanceBias
from lightning_posenc.positional.bias.inkling import InklingBias
from lightning_posenc.positional.bias.kerple import KERPLELog, KERPLEPower
from lightning_posenc.positional.bias.learned_relative_bias import LearnedRelativeBias
from lightning_posenc.positional.bias.log_cpb import LogCPB
from lightning_posenc.positional.bias.on_a_plane import PlaneBias
from lightning_posenc.positional.bias.relative_vectors import RelativeVectors
from lightning_posenc.positional.bias.sandwich import Sandwich
from lightning_posenc.positional.bias.shaw import ShawRelative
from lightning_posenc.positional.bias.swin import SwinBias
from lightning_posenc.positional.bias.t5 import T5Bias
from lightning_posenc.positional.bias.transformer_xl import TransformerXL
from lightning_posenc.positional.bias.tupe import TUPE
from lightning_posenc.positional.bias.wavelet import WaveletBias
from lightning_posenc.positional.compose import (
    Chain,
    Droppable,
    FirstLayers,
    PerLayer,
)
from lightning_posenc.positional.content.canon import CanonB
from lightning_posenc.positional.content.cope import CoPE
from lightning_posenc.positional.content.dape import DAPE
from lightning_posenc.positional.content.fox import FoX
from lightning_posenc.positional.content.grape import GRAPEAP
from lightning_posenc.positional.content.path import PaTH
from lightning_posenc.positional.content.peg import PEG
from lightning_posenc.positional.content.selective_rope import SelectiveRoPE
from lightning_posenc.positional.nope import NoPE
from lightning_posenc.positional.rotary.axial_rope import AxialRoPE
from lightning_posenc.positional.rotary.base import Rotary
from lightning_posenc.positional.rotary.dual_chunk import DualChunk
from lightning_posenc.positional.rotary.fope import FoPE
from lightning_posenc.positional.rotary.learned_rope import LearnedRoPE
from lightning_posenc.positional.rotary.liere import LieRE
from lightning_posenc.positional.rotary.m_rope import MRoPE
from lightning_posenc.positional.rotary.mixed_rope import MixedRoPE
from lightning_posenc.positional.rotary.p_rope import PRoPE
from lightning_posenc.positional.rotary.partial import PartialRoPE
from lightning_posenc.positional.rotary.pope import PoPE
from lightning_posenc.positional.rotary.rerope import ReRoPE
from lightning_posenc.positional.rotary.rope import RoPE
from lightning_posenc.positional.rotary.roper import RoPER
from lightning_posenc.positional.rotary.self_extend import SelfExtend
from lightning_posenc.positional.rotary.xpos import XPos
from lightning_posenc.positional.temperature.base import QueryTemperature
from lightning_posenc.positional.temperature.llama4 import Llama4Temperature
from lightning_posenc.positional.temperature.log_n import LogN
from lightning_posenc.positional.temperature.ssmax import SSMax

__all__ = [
    "BAM",
    "DAPE",
    "FIRE",
    "GRAPEAP",
    "PEG",
    "TUPE",
    "ALiBi",
    "Absolute",
    "AxialRoPE",
    "CanonB",
    "Chain",
    "CoPE",
    "ComplexEmbedding",
    "Concatenated",
    "DeBERTa",
    "DecomposedRelative",
    "Dims",
    "Droppable",
    "DualChunk",
    "DynamicBias",
    "Factory",
    "FirstLayers",
    "FoPE",
    "FoX",
    "GraphDistanceBias",
    "InklingBias",
    "KERPLELog",
    "KERPLEPower",
    "LaplacianPE",
    "LearnableFourier",
    "LearnableFrequencies",
    "LearnedAbsolute",
    "LearnedGrid",
    "LearnedRelativeBias",
    "LearnedRoPE",
    "LieRE",
    "Llama4Temperature",
    "LogCPB",
    "LogN",
    "MRoPE",
    "MixedRoPE",
    "NoPE",
    "PRoPE",
    "PaTH",
    "PartialRoPE",
    "PerLayer",
    "PlaneBias",
    "PoPE",
    "PositionalEncoding",
    "QueryTemperature",
    "RandomWalkPE",
    "ReRoPE",
    "RelativeBias",
    "RelativeVectors",
    "RoPE",
    "RoPER",
    "Rotary",
    "SSMax",
    "Sandwich",
    "SelectiveRoPE",
    "SelfExtend",
    "ShawRelative",
    "Sinusoidal",
    "Site",
    "SwinBias",
    "T5Bias",
    "TransformerXL",
    "WaveletBias",
    "XPos",
]
