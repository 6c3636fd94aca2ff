"""None, several at once, and layer by layer."""

# ruff: noqa: E501 (one line a case)

from functools import partial

from lightning_posenc.positional import (
    ALiBi,
    Chain,
    Droppable,
    FirstLayers,
    NoPE,
    PerLayer,
    RoPE,
    ShawRelative,
    Sinusoidal,
)
from tests.cases.base import Case
from tests.oracles import absolute, base, bias, compose, rotary

# fmt: off
CASES: tuple[Case, ...] = (
    Case("nope", NoPE, base.nothing, sees_no_order=True, order_aware_bidirectional=False, differentiable=False),
    Case("chain-rope-alibi", Chain.of(RoPE, ALiBi), compose.chain(rotary.rope, bias.alibi)),
    Case("chain-shaw-rope-alibi", Chain.of(partial(ShawRelative, max_distance=4), RoPE, ALiBi), compose.chain(partial(bias.shaw, max_distance=4), rotary.rope, bias.alibi), content_dependent=True),
    Case("chain-rope-shaw-values", Chain.of(RoPE, partial(ShawRelative, max_distance=4, values=True)), compose.chain(rotary.rope, partial(bias.shaw, max_distance=4)), content_dependent=True),
    Case("per-layer-rope-nope", PerLayer.of(RoPE, NoPE), compose.per_layer(rotary.rope, base.nothing)),
    Case("per-layer-shaw-nope", PerLayer.of(partial(ShawRelative, max_distance=4), NoPE), compose.per_layer(partial(bias.shaw, max_distance=4), base.nothing), content_dependent=True, differentiable=False),
    Case("first-layers-shaw", FirstLayers.of(partial(ShawRelative, max_distance=4), n=1), compose.first_layers(partial(bias.shaw, max_distance=4), n=1), content_dependent=True, differentiable=False),
    Case("first-layers-sinusoidal", FirstLayers.of(Sinusoidal, n=2), compose.first_layers(absolute.sinusoidal, n=2), shift_invariant=False),
    Case("droppable-rope", Droppable.of(RoPE), compose.first_layers(rotary.rope, n=9)),
)
# fmt: on
