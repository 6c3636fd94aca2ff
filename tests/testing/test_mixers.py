"""The judge of mixers, and that ours keep what it asks."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_posenc import Dims
from lightning_posenc.model import Attention
from lightning_posenc.model.mixers import Context, Mixer
from lightning_posenc.testing import Check, check_mixer, mixer_checks


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(
            check,
            id=f"{make_id}-{check.name}",
            marks=[pytest.mark.slow] * check.name.startswith("compiled"),
        )
        for make_id, make in {
            "attention": Attention,
            "grouped-normed": partial(Attention, n_kv_heads=2, qk_norm=nn.LayerNorm),
        }.items()
        for check in mixer_checks(make)
        if make is Attention or not check.name.startswith("compiled")  # takes seconds
    ],
)
def test_every_promise_is_kept(check: Check) -> None:
    check()


class Mean(Mixer):
    """A stranger's, without fault."""

    serves = frozenset({"causal", "bidirectional", "mask", "padding", "documents"})

    def __init__(self, dims: Dims, layer: int) -> None:
        super().__init__(dims, layer)
        self.out = nn.Linear(dims.d_model, dims.d_model)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        seen = context.seen_in(self.layer).dense
        if seen is None:
            return self.out(x.mean(dim=1, keepdim=True).expand_as(x))
        weights = seen[:, 0].to(x.dtype)
        return self.out(weights @ x / weights.sum(dim=-1, keepdim=True))


class SeesAll(Mean):
    def forward(self, x: Tensor, context: Context) -> Tensor:
        return self.out(x.mean(dim=1, keepdim=True).expand_as(x))


class MixesNothing(Mean):
    def forward(self, x: Tensor, context: Context) -> Tensor:
        return self.out(x)


class SaysMore(Mean):
    serves = Mean.serves | {"cache"}


class HonoursInWordsAlone(Mean):
    hooks = frozenset({"bias"})


class SaysWhatNobodyKnows(Mean):
    serves = Mean.serves | {"everything"}


class RefusesNothing(Mean):
    def check(self, positional: Any, mask: Any) -> None:
        """Let all pass."""


class StartsLarge(Mean):
    def initialise(self, std: float, depth_scale: float) -> None:
        """Leave all as it is."""


FAULTS: dict[type[Mixer], str] = {
    SeesAll: "future_does_not_reach_the_past-causal",
    MixesNothing: "tokens_reach_each_other-bidirectional",
    SaysMore: "serves_or_refuses-cache-causal",
    HonoursInWordsAlone: "honours_or_refuses-bias-causal",
    SaysWhatNobodyKnows: "says_what_it_serves",
    RefusesNothing: "honours_or_refuses-transform-causal",
    StartsLarge: "starts_small_in_deep_models-causal",
}


def named(make: Any, name: str) -> Check:
    (check,) = (check for check in mixer_checks(make) if check.name == name)
    return check


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_breaks_the_promise_that_it_is_against(kind: type[Mixer]) -> None:
    with pytest.raises(Exception) as error:  # noqa: PT011 (an encoder's own, too)
        named(kind, FAULTS[kind])()
    said = [str(error.value), *getattr(error.value, "__notes__", [])]
    assert any(kind.__name__ in line for line in said)
    assert any("to do: " in line for line in said)
    named(Mean, FAULTS[kind])()


def test_all_that_is_broken_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda model, **_: model)
    check_mixer(Mean)
    with pytest.raises(AssertionError, match=r"^[1-9]\d* broken:\n"):
        check_mixer(SeesAll)
    with pytest.raises(ValueError, match="make a Mixer"):
        check_mixer(nn.Linear)  # type: ignore[arg-type]
