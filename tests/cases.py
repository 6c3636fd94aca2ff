"""Every encoding, its properties and its oracle: one line each, and the whole suite runs on it."""

# ruff: noqa: E501 (one line a case)

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lightning_posenc.positional import (
    ALiBi,
    Chain,
    Factory,
    LearnedAbsolute,
    LearnedRelativeBias,
    NoPE,
    PerLayer,
    RoPE,
    ShawRelative,
    Sinusoidal,
    T5Bias,
)
from lightning_posenc.positions import Consecutive, PerDocument, Positions, Randomized
from tests import oracles
from tests.oracles import Oracle


@dataclass(frozen=True)
class Case:
    """An encoding as the suite sees it.

    Args:
        name: The test's id.
        factory: Makes the encoding from the dims.
        oracle: What it adds, in float64.
        shift_invariant: Adding a constant to all positions changes no output.
        order_aware_bidirectional: A bidirectional model tells a sequence from its reverse.
        content_dependent: What is added to the logits depends on the tokens.
        differentiable: The output changes smoothly with float positions.
        limit: The longest sequence that can be served; a longer one is a ValueError naming it.
        positions: Makes the sampler of positions.
    """

    name: str
    factory: Factory
    oracle: Oracle
    shift_invariant: bool = True
    order_aware_bidirectional: bool = True
    content_dependent: bool = False
    differentiable: bool = True
    limit: int | None = None
    positions: Callable[[], Positions] = Consecutive

    @property
    def extrapolates(self) -> bool:
        """Whether any length can be served."""
        return self.limit is None


# fmt: off
CASES = (
    Case("nope", NoPE, oracles.nothing, order_aware_bidirectional=False, differentiable=False),
    Case("sinusoidal", Sinusoidal, oracles.sinusoidal, shift_invariant=False),
    Case("sinusoidal-reinjected", partial(Sinusoidal, layers=(0, 1), scale=0.5), partial(oracles.sinusoidal, layers=(0, 1), scale=0.5), shift_invariant=False),
    Case("learned-absolute", partial(LearnedAbsolute, max_length=32), oracles.learned_absolute, shift_invariant=False, limit=32),
    Case("learned-absolute-reinjected", partial(LearnedAbsolute, max_length=32, layers=(0, 1)), partial(oracles.learned_absolute, layers=(0, 1)), shift_invariant=False, limit=32),
    Case("rope", RoPE, oracles.rope),
    Case("rope-interleaved", partial(RoPE, layout="interleaved", base=500.0), partial(oracles.rope, layout="interleaved", base=500.0)),
    Case("rope-randomized", RoPE, oracles.rope, positions=partial(Randomized, 64), limit=64),
    Case("rope-per-document", RoPE, oracles.rope, positions=PerDocument),
    Case("alibi", ALiBi, oracles.alibi),
    Case("alibi-symmetric", partial(ALiBi, form="symmetric"), partial(oracles.alibi, form="symmetric"), order_aware_bidirectional=False),
    Case("alibi-two-sided", partial(ALiBi, form="two_sided"), partial(oracles.alibi, form="two_sided")),
    Case("learned-relative-bias", partial(LearnedRelativeBias, max_distance=4), partial(oracles.learned_relative_bias, max_distance=4), differentiable=False),
    Case("learned-relative-bias-shared", partial(LearnedRelativeBias, max_distance=4, shared=True), partial(oracles.learned_relative_bias, max_distance=4), differentiable=False),
    Case("t5", partial(T5Bias, n_buckets=8, max_distance=16), partial(oracles.t5, n_buckets=8, max_distance=16), differentiable=False),
    Case("t5-per-layer", partial(T5Bias, n_buckets=8, max_distance=16, shared=False), partial(oracles.t5, n_buckets=8, max_distance=16), differentiable=False),
    Case("shaw", partial(ShawRelative, max_distance=4), partial(oracles.shaw, max_distance=4), content_dependent=True, differentiable=False),
    Case("shaw-shared", partial(ShawRelative, max_distance=4, shared=True), partial(oracles.shaw, max_distance=4), content_dependent=True, differentiable=False),
    Case("chain-rope-alibi", Chain.of(RoPE, ALiBi), oracles.chain(oracles.rope, oracles.alibi)),
    Case("chain-shaw-rope-alibi", Chain.of(partial(ShawRelative, max_distance=4), RoPE, ALiBi), oracles.chain(partial(oracles.shaw, max_distance=4), oracles.rope, oracles.alibi), content_dependent=True),
    Case("per-layer-rope-nope", PerLayer.of(RoPE, NoPE), oracles.per_layer(oracles.rope, oracles.nothing)),
    Case("per-layer-shaw-nope", PerLayer.of(partial(ShawRelative, max_distance=4), NoPE), oracles.per_layer(partial(oracles.shaw, max_distance=4), oracles.nothing), content_dependent=True, differentiable=False),
)
# fmt: on
