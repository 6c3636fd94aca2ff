"""Ways of making a trained model read longer sequences, one class each."""

from lightning_posenc.pretrained.methods.base import Method
from lightning_posenc.pretrained.methods.base_frequency import AdjustedBase
from lightning_posenc.pretrained.methods.dropped import DroPE
from lightning_posenc.pretrained.methods.dual_chunk import DualChunkRope
from lightning_posenc.pretrained.methods.dynamic import Dynamic
from lightning_posenc.pretrained.methods.interpolated import PI
from lightning_posenc.pretrained.methods.longrope import SearchedLongRoPE
from lightning_posenc.pretrained.methods.rerope import LeakyReRope, ReRope
from lightning_posenc.pretrained.methods.scalings import (
    NTK,
    ByPartsNTK,
    ClippedRope,
    Llama3Scaling,
    Yarn,
)
from lightning_posenc.pretrained.methods.self_extend import SelfExtendRope
from lightning_posenc.pretrained.methods.tables import Resample, ResampleBicubic, Tile
from lightning_posenc.pretrained.methods.unchanged import Unchanged
from lightning_posenc.pretrained.methods.window import SlidingWindow, WindowSinks

# In the order in which a table shows them.
METHODS: tuple[type[Method], ...] = (
    Unchanged,
    PI,
    AdjustedBase,
    NTK,
    Dynamic,
    ByPartsNTK,
    Yarn,
    Llama3Scaling,
    SearchedLongRoPE,
    ClippedRope,
    DroPE,
    ReRope,
    LeakyReRope,
    SelfExtendRope,
    DualChunkRope,
    SlidingWindow,
    WindowSinks,
    Resample,
    ResampleBicubic,
    Tile,
)

__all__ = [
    "METHODS",
    "NTK",
    "PI",
    "AdjustedBase",
    "ByPartsNTK",
    "ClippedRope",
    "DroPE",
    "DualChunkRope",
    "Dynamic",
    "LeakyReRope",
    "Llama3Scaling",
    "Method",
    "ReRope",
    "Resample",
    "ResampleBicubic",
    "SearchedLongRoPE",
    "SelfExtendRope",
    "SlidingWindow",
    "Tile",
    "Unchanged",
    "WindowSinks",
    "Yarn",
]
