"""Queries times a number that grows with how many keys they see."""

# ruff: noqa: E501 (one line a case)

from functools import partial

from lightning_posenc.positional import Chain, Llama4Temperature, LogN, RoPE, SSMax
from tests.cases.base import Case
from tests.oracles import compose, rotary, temperature

# fmt: off
CASES: tuple[Case, ...] = (
    Case("ssmax", SSMax, temperature.ssmax, shift_invariant=None, sees_no_order=True, order_aware_bidirectional=False, differentiable=None),
    Case("ssmax-bias", partial(SSMax, scale=1.0, learned_bias=True), temperature.ssmax, shift_invariant=None, sees_no_order=True, order_aware_bidirectional=False, differentiable=None),
    Case("log-n", partial(LogN, trained_length=5), partial(temperature.log_n, trained_length=5), shift_invariant=None, sees_no_order=True, order_aware_bidirectional=False, differentiable=None),
    Case("llama4-temperature", partial(Llama4Temperature, beta=0.5, floor=4), partial(temperature.llama4, beta=0.5, floor=4), shift_invariant=None, sees_no_order=True, order_aware_bidirectional=False, differentiable=None),
    Case("llama4-temperature-before", partial(Llama4Temperature, beta=0.5, floor=4, counts_itself=False), partial(temperature.llama4, beta=0.5, floor=4, counted=0), shift_invariant=None, sees_no_order=True, order_aware_bidirectional=False, differentiable=None),
    Case("chain-rope-ssmax", Chain.of(RoPE, SSMax), compose.chain(rotary.rope, temperature.ssmax), shift_invariant=None),
)
# fmt: on
