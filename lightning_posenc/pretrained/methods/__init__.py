"""Ways of making a trained model read longer sequences, one class each."""

from lightning_posenc.pretrained.methods.base import Method
from lightning_posenc.pretrained.methods.base_frequency import ABF
from lightning_posenc.pretrained.methods.dropped import DroPE
from lightning_posenc.pretrained.methods.dual_chunk import DualChunk
from lightning_posenc.pretrained.methods.dynamic import Dynamic
from lightning_posenc.pretrained.methods.interpolated import PI
from lightning_posenc.pretrained.methods.longrope import SearchedLongRoPE
from lightning_posenc.pretrained.methods.rerope import LeakyReRoPE, ReRoPE
from lightning_posenc.pretrained.methods.scalings import (
    NTK,
    ByPartsNTK,
    ClippedRope,
    Llama3Scaling,
    Yarn,
)
from lightning_posenc.pretrained.methods.self_extend import SelfExtend
from lightning_posenc.pretrained.methods.tables import Resample, ResampleBicubic, Tile
from lightning_posenc.pretrained.methods.unchanged import Unchanged
from lightning_posenc.pretrained.methods.window import SlidingWindow, WindowSinks

# In the order in which a table shows them.
METHODS: tuple[type[Method], ...] = (
    Unchanged,
    PI,
    ABF,
    NTK,
    Dynamic,
    ByPartsNTK,
    Yarn,
    Llama3Scaling,
    SearchedLongRoPE,
    ClippedRope,
    DroPE,
    ReRoPE,
    LeakyReRoPE,
    SelfExtend,
    DualChunk,
    SlidingWindow,
    WindowSinks,
    Resample,
    ResampleBicubic,
    Tile,
)

__all__ = [
    "ABF",
    "METHODS",
    "NTK",
    "PI",
    "ByPartsNTK",
    "ClippedRope",
    "DroPE",
    "DualChunk",
    "Dynamic",
    "LeakyReRoPE",
    "Llama3Scaling",
    "Method",
    "ReRoPE",
    "Resample",
    "ResampleBicubic",
    "SearchedLongRoPE",
    "SelfExtend",
    "SlidingWindow",
    "Tile",
    "Unchanged",
    "WindowSinks",
    "Yarn",
]
