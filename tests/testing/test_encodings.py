"""The judge of encodings: whoever breaks a promise is told which, and whoever keeps all passes."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lightning_posenc import Dims
from lightning_posenc.positional import (
    ALiBi,
    GraphDistanceBias,
    LearnedAbsolute,
    LearnedGrid,
    PositionalEncoding,
    RelativeBias,
    RoPE,
    Site,
)
from lightning_posenc.positions import Places
from lightning_posenc.testing import Check, Given, Result, check_encoding, encoding_checks
from lightning_posenc.testing.case import found_out
from tests.testing import planted
from tests.testing.planted import assert_broken


class Fading(RelativeBias):
    """A stranger's, without fault."""

    def __init__(self, dims: Dims) -> None:
        super().__init__(dims)
        self.rate = nn.Parameter(torch.ones(dims.n_heads))

    def bias_at(self, delta: Tensor) -> Tensor:
        return -self.rate.view(-1, *[1] * delta.dim()) * torch.log1p(delta.abs())


class SeesTheFuture(Fading):
    reads_inputs = True

    def bias(self, site: Site) -> Tensor:
        return (
            super().bias(site) + site.k_x[..., 0].sum(1)[:, None, None, None] * site.delta[:, None]
        )


class ReadsAcrossTheBatch(Fading):
    reads_inputs = True

    def bias(self, site: Site) -> Tensor:
        return super().bias(site) * site.k_x[..., 0].mean()


class ReadsAcrossDocuments(Fading):
    reads_inputs = True

    def bias(self, site: Site) -> Tensor:
        return super().bias(site) * site.k_x[..., 0].cumsum(1)[:, None, None]


class ReadsPadding(Fading):
    reads_inputs = True

    def bias(self, site: Site) -> Tensor:
        return super().bias(site) * site.k_x.shape[1]


class HasAnIdleParameter(Fading):
    def __init__(self, dims: Dims) -> None:
        super().__init__(dims)
        self.idle = nn.Parameter(torch.ones(3))


class KeepsNumbersToItself(Fading):
    def __init__(self, dims: Dims) -> None:
        super().__init__(dims)
        self.slopes = torch.randn(dims.n_heads)

    def bias_at(self, delta: Tensor) -> Tensor:
        return super().bias_at(delta) * self.slopes.view(-1, *[1] * delta.dim())


class HoldsALambda(Fading):
    def __init__(self, dims: Dims) -> None:
        super().__init__(dims)
        self.function = lambda x: x


class RoundsPositions(Fading):
    def bias_at(self, delta: Tensor) -> Tensor:
        return super().bias_at(delta) + delta.to(self.rate.dtype).float().cos()


class WantsAKeyForEachHead(Fading):
    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        return site.q, site.k * torch.linspace(1, 2, site.q.shape[1]).view(1, -1, 1, 1)


class CountsItsCalls(Fading):
    def bias(self, site: Site) -> Tensor:
        self.calls = getattr(self, "calls", 0) + 1
        return super().bias(site) * self.calls


class EndsInAnIndexError(PositionalEncoding):
    def __init__(self, dims: Dims) -> None:
        super().__init__(dims)
        self.table = nn.Parameter(torch.randn(32, dims.d_model))

    def embed(self, x: Tensor, positions: Tensor, layer: int) -> Tensor:
        return x + self.table[positions.long()].to(x.dtype)


class WidensItsInput(Fading):
    def embed(self, x: Tensor, positions: Tensor, layer: int) -> Tensor:
        return x.float()


ORDER = "order_awareness_of_a_bidirectional_model-bidirectional"
FAULTS: dict[type[PositionalEncoding], str] = {
    SeesTheFuture: "future_does_not_reach_the_past-causal",
    ReadsAcrossTheBatch: "independent_of_the_rest_of_the_batch-bidirectional",
    ReadsAcrossDocuments: "packed_documents_equal_each_document_alone-causal",
    ReadsPadding: "padded_batch_equals_each_sequence_alone-bidirectional",
    HasAnIdleParameter: "gradients_reach_every_parameter-causal",
    KeepsNumbersToItself: "state_dict_round_trip-causal",
    HoldsALambda: "pickle_and_deepcopy-causal",
    RoundsPositions: "bfloat16_model_keeps_positions_apart-causal",
    WantsAKeyForEachHead: "grouped_heads_equal_repeated_heads-causal",
    CountsItsCalls: "checkpointed_activations_change_nothing-causal",
    EndsInAnIndexError: "longer_works_or_names_the_limit-causal",
    WidensItsInput: "shape_and_dtype-causal",
}


def named(make: Any, name: str, **claims: Any) -> Check:
    return planted.named(encoding_checks(make, **claims), name)


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_breaks_the_promise_that_it_is_against(kind: type[PositionalEncoding]) -> None:
    assert_broken(encoding_checks(kind), FAULTS[kind])


@pytest.mark.parametrize("name", FAULTS.values())
def test_who_is_without_fault_keeps_the_same_promises(name: str) -> None:
    named(Fading, name)()


def test_all_that_is_broken_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda model, **_: model)  # which takes seconds

    class Twice(HasAnIdleParameter, KeepsNumbersToItself):
        """Two faults."""

    with pytest.raises(AssertionError) as error:
        check_encoding(Twice, shift_invariant=False)
    said = str(error.value)
    assert said.count("(gradients_reach_every_parameter") == 2  # each in both directions
    assert said.count("(state_dict_round_trip") == 2
    assert said.count("(shift_of_all_positions") == 2  # the claim
    assert said.startswith(f"{said.count('Twice ')} broken:\n")
    assert "idle has a gradient" in said or "idle has no gradient" in said
    for part in ("Twice breaks a promise (state_dict_round_trip-causal)", "seen: ", "to do: "):
        assert part in said


def test_who_is_without_fault_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda model, **_: model)
    before = torch.get_rng_state()
    check_encoding(Fading, oracle, shift_invariant=True, content_dependent=False)
    assert torch.equal(torch.get_rng_state(), before)


def oracle(given: Given) -> Result:
    delta = np.abs(given.q_pos[:, None, :, None] - given.k_pos[:, None, None, :])
    return Result(bias=-given.parameters["rate"][None, :, None, None] * np.log1p(delta))


def test_an_oracle_that_says_otherwise_is_heard() -> None:
    def other(given: Given) -> Result:
        return Result(bias=oracle(given).bias * 1.001)

    name = "hooks_equal_oracle-gapped-causal"
    named(Fading, name, oracle=oracle)()
    with pytest.raises(AssertionError, match=r"bias: off by .* at positions gapped"):
        named(Fading, name, oracle=other)()
    with pytest.raises(AssertionError, match="bias: something, and the oracle says nothing"):
        named(Fading, name, oracle=lambda given: Result())()


@pytest.mark.parametrize(
    ("claim", "value", "name"),
    [
        ("shift_invariant", False, "shift_of_all_positions-causal"),
        ("content_dependent", True, "content_dependence-causal"),
        (
            "order_aware_bidirectional",
            True,
            "order_awareness_of_a_bidirectional_model-bidirectional",
        ),
        ("differentiable", False, "gradient_of_positions-causal"),
        ("limit", 40, "longer_works_or_names_the_limit-causal"),
    ],
)
def test_a_claim_that_is_wrong_is_refuted(claim: str, value: Any, name: str) -> None:
    with pytest.raises(AssertionError, match="to do"):
        named(Fading, name, **{claim: value})()


def test_what_nobody_claims_is_found_out() -> None:
    assert found_out(ALiBi).limit is None
    assert found_out(partial(LearnedAbsolute, max_length=48)).limit == 48
    assert found_out(LearnedAbsolute).limit == 512
    grid = found_out(LearnedGrid)
    assert (grid.limit, grid.place(torch.zeros(1, 2)).shape) == (32, (1, 2, 2))
    assert found_out(GraphDistanceBias).place(torch.zeros(1, 2)).shape == (1, 2, 2)

    class OneWay(RoPE):
        def __init__(self, dims: Dims) -> None:
            if not dims.causal:
                raise ValueError("OneWay: looks back only: set causal=true")
            super().__init__(dims)

    assert found_out(OneWay).refused == "OneWay: looks back only: set causal=true"
    names = [check.name for check in encoding_checks(OneWay)]
    assert [name for name in names if name.endswith("-bidirectional")] == [
        "refusal_of_a_bidirectional_model-bidirectional"
    ]
    named(OneWay, "refusal_of_a_bidirectional_model-bidirectional")()


@pytest.mark.parametrize(
    ("make", "claims", "said"),
    [
        (ALiBi, {"shift": True}, "nothing is called shift: claim some of "),
        (nn.Linear, {}, "make a PositionalEncoding"),
        (partial(LearnedAbsolute, max_length=5), {}, "serves 5 tokens, and is judged on 10"),
    ],
)
def test_what_cannot_be_judged_is_one_line(make: Any, claims: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        check_encoding(make, **claims)
    assert "\n" not in str(error.value)


def test_whole_positions_only_may_be_served() -> None:
    class Whole(Fading):
        def check(self, places: Places) -> None:
            super().check(places)
            if not places.is_whole:
                raise ValueError("Whole: serves whole positions only: round them")

    for name in ("gradient_of_positions-causal", "hooks_equal_oracle-off_the_lattice-causal"):
        named(Whole, name, oracle=oracle)()
