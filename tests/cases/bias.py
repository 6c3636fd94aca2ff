"""Encodings that add to the logits."""

# ruff: noqa: E501 (one line a case)

from functools import partial

from lightning_posenc.positional import ALiBi, LearnedRelativeBias, ShawRelative, T5Bias
from tests.cases.base import Case
from tests.oracles import bias

# fmt: off
CASES: tuple[Case, ...] = (
    Case("alibi", ALiBi, bias.alibi),
    Case("alibi-symmetric", partial(ALiBi, form="symmetric"), partial(bias.alibi, form="symmetric"), order_aware_bidirectional=False),
    Case("alibi-two-sided", partial(ALiBi, form="two_sided"), partial(bias.alibi, form="two_sided")),
    Case("learned-relative-bias", partial(LearnedRelativeBias, max_distance=4), partial(bias.learned_relative_bias, max_distance=4), differentiable=False),
    Case("learned-relative-bias-shared", partial(LearnedRelativeBias, max_distance=4, shared=True), partial(bias.learned_relative_bias, max_distance=4), differentiable=False),
    Case("t5", partial(T5Bias, n_buckets=8, max_distance=16), partial(bias.t5, n_buckets=8, max_distance=16), differentiable=False),
    Case("t5-per-layer", partial(T5Bias, n_buckets=8, max_distance=16, shared=False), partial(bias.t5, n_buckets=8, max_distance=16), differentiable=False),
    Case("shaw-values", partial(ShawRelative, max_distance=4, values=True), partial(bias.shaw, max_distance=4), content_dependent=True, differentiable=False),
    Case("shaw", partial(ShawRelative, max_distance=4), partial(bias.shaw, max_distance=4), content_dependent=True, differentiable=False),
    Case("shaw-shared", partial(ShawRelative, max_distance=4, shared=True), partial(bias.shaw, max_distance=4), content_dependent=True, differentiable=False),
)
# fmt: on
