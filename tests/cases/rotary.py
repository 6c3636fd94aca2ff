"""Encodings that turn queries and keys."""

# ruff: noqa: E501 (one line a case)

from functools import partial

import torch
from torch import Tensor

from lightning_posenc.positional import (
    AxialRoPE,
    DualChunk,
    FoPE,
    LearnedRoPE,
    LieRE,
    MixedRoPE,
    MRoPE,
    PartialRoPE,
    PoPE,
    PRoPE,
    ReRoPE,
    RoPE,
    RoPER,
    SelfExtend,
    XPos,
)
from lightning_posenc.positional.rotary.scaling import (
    ABF,
    Clipped,
    DynamicNTK,
    LinearScaling,
    Llama3,
    LongRoPE,
    NTKAware,
    NTKByParts,
    YaRN,
)
from tests.cases.base import Case, on_axes
from tests.oracles import by_law, rotary

SHORT, LONG = [1.0, 1.1, 1.2, 1.5], [1.0, 1.5, 3.0, 4.0]


def on_a_parabola(positions: Tensor) -> Tensor:
    """Positions on two axes that go in no fixed direction."""
    return torch.stack([positions, positions * positions], dim=-1)


# Dynamic scalings see no length beyond the trained one here: there they depend on it, and so on
# padding and packing. test_scaling.py holds them against the oracle beyond it.
# fmt: off
CASES: tuple[Case, ...] = (
    Case("rope", RoPE, rotary.rope),
    Case("rope-interleaved", partial(RoPE, layout="interleaved", base=500.0), partial(rotary.rope, layout="interleaved", base=500.0)),
    Case("rope-linear", partial(RoPE, scaling=LinearScaling(2.0)), partial(rotary.rope, scaling=partial(rotary.linear, factor=2.0))),
    Case("rope-ntk-aware", partial(RoPE, scaling=NTKAware(2.0)), partial(rotary.rope, scaling=partial(rotary.ntk_aware, factor=2.0))),
    Case("rope-dynamic-ntk", partial(RoPE, scaling=DynamicNTK(2.0, 1024)), partial(rotary.rope, scaling=partial(rotary.dynamic_ntk, factor=2.0, trained_length=1024))),
    Case("rope-ntk-by-parts", partial(RoPE, scaling=NTKByParts(4.0, 16, ramp="rotations", beta_fast=4.0)), partial(rotary.rope, scaling=partial(rotary.ntk_by_parts, factor=4.0, trained_length=16, ramp="rotations", beta_fast=4.0))),
    Case("rope-yarn", partial(RoPE, scaling=YaRN(4.0, 512)), partial(rotary.rope, scaling=partial(rotary.yarn, factor=4.0, trained_length=512))),
    Case("rope-llama3", partial(RoPE, scaling=Llama3(4.0, 128)), partial(rotary.rope, scaling=partial(rotary.llama3, factor=4.0, trained_length=128))),
    Case("rope-longrope", partial(RoPE, scaling=LongRoPE(4.0, 1024, SHORT, LONG)), partial(rotary.rope, scaling=partial(rotary.longrope, factor=4.0, trained_length=1024, short_factors=SHORT, long_factors=LONG))),
    Case("rope-clipped", partial(RoPE, scaling=Clipped(2.0, 64)), partial(rotary.rope, scaling=partial(rotary.clipped, trained_length=64))),
    Case("rope-abf", partial(RoPE, scaling=ABF(4.0, 64)), partial(rotary.rope, scaling=partial(rotary.abf, factor=4.0, trained=64))),
    Case("rope-abf-chosen", partial(RoPE, scaling=ABF(4.0, base=500000.0)), partial(rotary.rope, scaling=partial(rotary.abf, factor=4.0, trained=2048, to=500000.0))),
    Case("partial-rope", partial(PartialRoPE, fraction=0.5), partial(rotary.rope, width=4)),
    Case("partial-rope-interleaved", partial(PartialRoPE, layout="interleaved", scaling=YaRN(4.0, 512)), partial(rotary.rope, layout="interleaved", width=2, scaling=partial(rotary.yarn, factor=4.0, trained_length=512))),
    Case("p-rope", partial(PRoPE, fraction=0.5), partial(rotary.p_rope, n_turning=2)),
    Case("p-rope-interleaved", partial(PRoPE, layout="interleaved", scaling=LinearScaling(2.0)), partial(rotary.p_rope, n_turning=3, layout="interleaved", factor=2.0)),
    Case("learned-rope", LearnedRoPE, rotary.learned_rope),
    Case("learned-rope-shared", partial(LearnedRoPE, shared=True, layout="interleaved"), partial(rotary.learned_rope, layout="interleaved")),
    Case("learned-rope-per-head", partial(LearnedRoPE, per_head=True), rotary.learned_rope),
    Case("learned-rope-per-head-shared", partial(LearnedRoPE, per_head=True, shared=True), rotary.learned_rope),
    Case("liere", LieRE, partial(rotary.liere, block=8)),
    Case("liere-small-blocks", partial(LieRE, block=4, per_head=True, per_layer=True), partial(rotary.liere, block=4)),
    Case("liere-axes", partial(LieRE, axes=2, block=4), partial(rotary.liere, block=4), place=on_a_parabola, shift_invariant=False),
    Case("liere-axes-one-direction", partial(LieRE, axes=2), partial(rotary.liere, block=8), place=on_axes(1, 3)),
    Case("learned-rope-logarithmic", partial(LearnedRoPE, logarithmic=True), rotary.lerope),
    Case("roper", RoPER, rotary.roper),
    Case("roper-interleaved", partial(RoPER, layout="interleaved", base=100.0), partial(rotary.roper, layout="interleaved", base=100.0)),
    Case("rerope", partial(ReRoPE, window=3), partial(by_law.rerope, window=3), content_dependent=True, differentiable=True, refused="ReRoPE: says how far"),
    Case("rerope-leaky", partial(ReRoPE, window=3, stretch=2.5, layout="interleaved"), partial(by_law.rerope, window=3, stretch=2.5, layout="interleaved"), content_dependent=True, differentiable=True, refused="ReRoPE: says how far"),
    Case("self-extend", partial(SelfExtend, window=4, group=3), partial(by_law.self_extend, window=4, group=3), content_dependent=True, shift_invariant=None, differentiable=True, refused="SelfExtend: says how far"),
    Case("dual-chunk", partial(DualChunk, chunk=5, local=1), partial(by_law.dual_chunk, chunk=5, local=1), content_dependent=True, shift_invariant=None, differentiable=True, refused="DualChunk: says how far"),
    Case("mixed-rope", MixedRoPE, rotary.mixed_rope, place=on_axes(1, 3)),
    Case("mixed-rope-shared", partial(MixedRoPE, base=100.0, per_head=False, shared=True, layout="interleaved"), partial(rotary.mixed_rope, layout="interleaved"), place=on_axes(3, 1)),
    Case("xpos", XPos, rotary.xpos, limited_afar=True, refused="grows towards the future"),
    Case("xpos-options", partial(XPos, gamma=1.0, scale_base=64.0, layout="interleaved"), partial(rotary.xpos, gamma=1.0, scale_base=64.0, layout="interleaved"), refused="grows towards the future"),
    Case("axial-rope", AxialRoPE, partial(rotary.axial_rope, axes=2), place=on_axes(1, 3)),
    Case("axial-rope-3", partial(AxialRoPE, axes=3, layout="interleaved", scaling=LinearScaling(2.0)), partial(rotary.axial_rope, axes=3, layout="interleaved", factor=2.0), place=on_axes(1, 3, 2)),
    Case("m-rope", MRoPE, partial(rotary.m_rope, sections=(2, 1, 1)), place=on_axes(1, 3, 2)),
    Case("m-rope-sections", partial(MRoPE, sections=(1, 0, 3), layout="interleaved"), partial(rotary.m_rope, sections=(1, 0, 3), layout="interleaved"), place=on_axes(1, 3, 2)),
    Case("m-rope-interleaved", partial(MRoPE, interleaved=True), rotary.m_rope_interleaved, place=on_axes(1, 3, 2)),
    Case("m-rope-text", MRoPE, rotary.rope),
    Case("pope", PoPE, rotary.pope),
    Case("pope-zeros", partial(PoPE, phases="zeros"), rotary.pope, order_aware_bidirectional=False),
    Case("pope-uniform", partial(PoPE, phases="uniform", shared=True, base=100.0), partial(rotary.pope, base=100.0)),
    Case("fope", FoPE, rotary.fope, shift_invariant=False),
    Case("fope-learned", partial(FoPE, learned=True, trained_length=64, layout="interleaved"), partial(rotary.fope, trained_length=64, layout="interleaved"), shift_invariant=False),
)
# fmt: on
