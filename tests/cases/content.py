"""Encodings that read the tokens between a query and a key."""

# ruff: noqa: E501 (one line a case)

from functools import partial

from lightning_posenc.positional import (
    DAPE,
    GRAPEAP,
    PEG,
    ALiBi,
    CanonB,
    Chain,
    CoPE,
    FoX,
    InklingBias,
    PaTH,
    RoPE,
    SelectiveRoPE,
    T5Bias,
)
from tests.cases.base import Case
from tests.oracles import bias, compose, content, distance, rotary

# fmt: off
CASES: tuple[Case, ...] = (
    Case("canon-b", CanonB, content.canon, differentiable=False),
    Case("canon-b-kv", partial(CanonB, of="kv", kernel_size=3), partial(content.canon, of="kv"), differentiable=False),
    Case("chain-canon-b-rope", Chain.of(partial(CanonB, of="kv"), RoPE), compose.chain(partial(content.canon, of="kv"), rotary.rope)),
    Case("cope", partial(CoPE, max_position=3), partial(content.cope, max_position=3), content_dependent=True, differentiable=False, refused="CoPE: counts from a query back"),
    Case("dape", partial(DAPE, width=6), partial(content.dape, inner=distance.kerple_log), content_dependent=True),
    Case("dape-alibi", partial(DAPE, encoding=ALiBi, width=6), partial(content.dape, inner=bias.alibi), content_dependent=True),
    Case("dape-t5", partial(DAPE, encoding=partial(T5Bias, n_buckets=8, max_distance=16), width=6), partial(content.dape, inner=partial(bias.t5, n_buckets=8, max_distance=16)), content_dependent=True, differentiable=False),
    Case("fox", FoX, content.fox, content_dependent=True, differentiable=False, refused="FoX: forgets what lies between"),
    Case("fox-remembering", partial(FoX, gate_bias=3.0), content.fox, content_dependent=True, differentiable=False, refused="FoX: forgets what lies between"),
    Case("grape-ap", partial(GRAPEAP, width=4), content.grape_ap, shift_invariant=None, content_dependent=True, refused="GRAPEAP: fades what lies between"),
    Case("inkling", partial(InklingBias, rank=3, extent=5), partial(content.inkling, extent=5), content_dependent=True, differentiable=False),
    Case("inkling-temperature", partial(InklingBias, rank=3, extent=16, strength=0.3, floor=3), partial(content.inkling, extent=16, strength=0.3, floor=3), shift_invariant=None, content_dependent=True, differentiable=False),
    Case("path", partial(PaTH, rank=4), content.path, content_dependent=True, differentiable=False, refused="PaTH: multiplies along the path"),
    Case("peg", PEG, content.peg, differentiable=False),
    Case("peg-wide", partial(PEG, kernel_size=5, layers=(1, 0), init=0.5), partial(content.peg, layers=(0, 1)), differentiable=False),
    Case("selective-rope", partial(SelectiveRoPE, base=10.0, rank=4), partial(content.selective_rope, base=10.0), differentiable=False),
    Case("selective-rope-gated", partial(SelectiveRoPE, base=10.0, rank=4, layout="interleaved", bias=True, gate=True), partial(content.selective_rope, base=10.0, layout="interleaved"), differentiable=False),
)
# fmt: on
