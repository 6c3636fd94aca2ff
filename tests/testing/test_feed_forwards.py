"""The judge of feed-forwards, and that ours keep what it asks."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_posenc import Dims
from lightning_posenc.model import (
    MLP,
    FeedForward,
    MixtureOfExperts,
    NoisyTopKRouter,
    SwiGLU,
    SwitchRouter,
)
from lightning_posenc.positions import Places
from lightning_posenc.testing import Check, check_feed_forward, feed_forward_checks
from tests.testing.all_of_ours import assert_all_are_judged
from tests.testing.planted import assert_broken, named

EXPERTS = partial(MixtureOfExperts, n_experts=4, d_ff=16)
OURS: dict[str, Any] = {
    "mlp": MLP,
    "swiglu": SwiGLU,
    "experts": partial(EXPERTS, shared=MLP),
    "experts-noisy": partial(EXPERTS, router=NoisyTopKRouter, capacity=1.0),
    "experts-switch": partial(EXPERTS, router=SwitchRouter, gated=False),
}
MORE = {"swiglu", "experts-noisy", "experts-switch"}


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(
            check,
            id=f"{name}-{check.name}",
            marks=[pytest.mark.slow] * (name in MORE or check.name.startswith("compiled")),
        )
        for name, make in OURS.items()
        for check in feed_forward_checks(make)
        if name not in MORE or not check.name.startswith("compiled")  # which takes seconds
    ],
)
def test_every_promise_is_kept(check: Check) -> None:
    check()


def test_all_of_ours_are_judged() -> None:
    assert_all_are_judged(OURS.values(), FeedForward)


class Squares(FeedForward):
    """A stranger's, without fault."""

    def __init__(self, dims: Dims, layer: int) -> None:
        super().__init__(dims, layer)
        self.up = nn.Linear(dims.d_model, 8)
        self.out = nn.Linear(8, dims.d_model)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.up(x).relu().square())


class WidensItsInput(Squares):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).float()


class KeepsNumbersToItself(Squares):
    def __init__(self, dims: Dims, layer: int) -> None:
        super().__init__(dims, layer)
        self.scale = torch.randn(dims.d_model)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scale.to(x.dtype)


class HoldsALambda(Squares):
    def __init__(self, dims: Dims, layer: int) -> None:
        super().__init__(dims, layer)
        self.function = lambda x: x


class ReadsAcrossTheBatch(Squares):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(dim=0))


class CountsItsCalls(Squares):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x * self.calls)


class RoundsBeforeASine(Squares):
    def forward(self, x: Tensor) -> Tensor:
        return self.out((100 * self.up(x)).sin())


class EndsInAnIndexError(Squares):
    def forward(self, x: Tensor) -> Tensor:
        [0] * 300  # noqa: B018
        return super().forward(x) * range(1, 301)[min(x.shape[1] // 600, 1) * 300]


class IsAnotherWhenCompiled(Squares):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 + torch.compiler.is_compiling())


class NormsTheSequence(Squares):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x / x.norm(dim=1, keepdim=True))


class SumsThePast(Squares):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.cumsum(dim=1))


class CountsPadding(Squares):
    reads_places = True

    def forward(self, x: Tensor, places: Places) -> Tensor:  # type: ignore[override]
        return super().forward(x) * (1 if places.lengths is None else x.shape[1])


class HasAnIdleParameter(Squares):
    def __init__(self, dims: Dims, layer: int) -> None:
        super().__init__(dims, layer)
        self.idle = nn.Parameter(torch.ones(3))


class StartsLarge(Squares):
    def initialise(self, std: float, depth_scale: float) -> None:
        """Leave all as it is."""


class AsksForAConstant(Squares):
    def penalty(self) -> Tensor:
        return torch.tensor(0.5)


class AsksForNothingFinite(Squares):
    def penalty(self) -> Tensor:
        return self.up.weight.sum() * math.inf


FAULTS: dict[type[FeedForward], str] = {
    WidensItsInput: "shape_and_dtype",
    KeepsNumbersToItself: "state_dict_round_trip",
    HoldsALambda: "pickle_and_deepcopy",
    ReadsAcrossTheBatch: "independent_of_the_rest_of_the_batch",
    CountsItsCalls: "checkpointed_activations_change_nothing",
    RoundsBeforeASine: "bfloat16_autocast_is_near_float32",
    EndsInAnIndexError: "longer_works_or_names_the_limit",
    IsAnotherWhenCompiled: "compiled_equals_eager",
    NormsTheSequence: "future_does_not_reach_the_past",
    SumsThePast: "packed_documents_equal_each_document_alone",
    CountsPadding: "padded_batch_equals_each_sequence_alone",
    HasAnIdleParameter: "gradients_reach_every_parameter",
    StartsLarge: "starts_small_in_deep_models",
    AsksForAConstant: "penalty_can_be_trained_on",
    AsksForNothingFinite: "penalty_can_be_trained_on",
}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[pytest.mark.slow] * name.startswith("compiled"))
        for kind, name in FAULTS.items()
    ],
)
def test_a_fault_breaks_the_promise_that_it_is_against(kind: type[FeedForward]) -> None:
    assert_broken(feed_forward_checks(kind), FAULTS[kind])
    named(feed_forward_checks(Squares), FAULTS[kind])()


@pytest.mark.parametrize("kind", [NormsTheSequence, SumsThePast])
def test_a_token_that_sees_another_is_found(kind: type[FeedForward]) -> None:
    assert_broken(feed_forward_checks(kind), "each_token_is_mapped_alone")
    named(feed_forward_checks(Squares), "each_token_is_mapped_alone")()


def test_every_promise_has_a_fault_against_it() -> None:
    names = {check.name for check in feed_forward_checks(Squares)}
    assert names == {*FAULTS.values(), "each_token_is_mapped_alone"}


@pytest.mark.slow
def test_all_that_is_broken_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda model, **_: model)  # which takes seconds
    with pytest.raises(AssertionError, match=r"^[2-9] broken:\nSumsThePast breaks a promise"):
        check_feed_forward(SumsThePast)
    with pytest.raises(ValueError, match="make a FeedForward"):
        check_feed_forward(nn.Linear)  # type: ignore[arg-type]
