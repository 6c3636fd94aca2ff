"""Encodings that add a function of rows and columns between two tokens."""

# ruff: noqa: E501 (one line a case)

from functools import partial

from lightning_posenc.positional import DecomposedRelative, LogCPB, SwinBias
from tests.cases.base import Case, on_axes
from tests.oracles import plane

# fmt: off
CASES: tuple[Case, ...] = (
    Case("swin-bias", partial(SwinBias, height=4, width=6), plane.swin, place=on_axes(1, 2)),
    Case("swin-bias-shared", partial(SwinBias, height=3, width=2, shared=True, std=0.5), plane.swin, place=on_axes(3, 1)),
    Case("log-cpb", partial(LogCPB, window=4, width=6), partial(plane.log_cpb, window=4), place=on_axes(1, 2)),
    Case("log-cpb-shared", partial(LogCPB, window=2, width=5, shared=True), partial(plane.log_cpb, window=2), place=on_axes(2, 1)),
    Case("decomposed-relative", partial(DecomposedRelative, size=4), plane.decomposed, place=on_axes(1, 2), content_dependent=True),
    Case("decomposed-relative-shared", partial(DecomposedRelative, size=3, shared=True, std=0.5), plane.decomposed, place=on_axes(1, 1), content_dependent=True),
)
# fmt: on
