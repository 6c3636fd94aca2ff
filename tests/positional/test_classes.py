"""Every class is abstract or final, and every table has its layers first."""

import copy
import inspect
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch

from lightning_posenc import positional, positions
from lightning_posenc.positional import (
    KERPLELog,
    KERPLEPower,
    LearnedRelativeBias,
    PositionalEncoding,
    RoPE,
    T5Bias,
)
from lightning_posenc.positional.layers import of_layer
from lightning_posenc.positional.rotary import scaling
from tests.cases import CASES
from tests.helpers import dims, encoder, tokens


def public(*packages: Any) -> Iterator[type]:
    """The concrete classes that packages offer."""
    for package in packages:
        for name in package.__all__:
            kind = getattr(package, name)
            if inspect.isclass(kind) and not inspect.isabstract(kind):
                yield kind


FINAL = sorted(set(public(positional, positions, scaling)) - {PositionalEncoding}, key=str)


@pytest.mark.parametrize("kind", FINAL)
def test_no_concrete_class_inherits_a_concrete_one(kind: type) -> None:
    """What a class does is read in its file, and in abstract ones."""
    concrete = set(FINAL) & set(kind.__mro__[1:])
    assert not concrete, f"{kind.__name__} inherits {concrete}: share an abstract class instead"


def test_such_an_inheritance_is_seen() -> None:
    class Mine(RoPE):
        pass

    assert set(FINAL) & set(Mine.__mro__[1:]) == {RoPE}


def test_of_layer() -> None:
    assert [of_layer("abc", layer) for layer in range(3)] == ["a", "b", "c"]
    assert of_layer(["all"], 2) == "all"
    table = torch.arange(6).view(3, 2)
    assert torch.equal(of_layer(table, 1), table[1])


SHARED = {
    "t5": (partial(T5Bias, n_buckets=8, max_distance=16), ["table"]),
    "learned": (partial(LearnedRelativeBias, max_distance=4, shared=True), ["table"]),
    "kerple-log": (KERPLELog, ["scale.raw", "rate.raw"]),
    "kerple-power": (KERPLEPower, ["scale.raw", "power.raw"]),
}


@pytest.mark.parametrize(("factory", "names"), SHARED.values(), ids=SHARED)
def test_tables_of_release_01_are_loaded(factory: Any, names: list[str]) -> None:
    """A table that all layers share had no axis of layers."""
    made, other = factory(dims(causal=True)), factory(dims(causal=True))
    state = copy.deepcopy(made.state_dict())
    assert list(state) == names
    for name in names:
        assert len(state[name]) == 1
        state[name] = state[name][0]
    other.load_state_dict(state)
    for name, value in made.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)


def test_a_shared_table_is_not_taken_for_one_of_each_layer() -> None:
    one = T5Bias(dims(causal=True))
    each = T5Bias(dims(causal=True), shared=False)
    with pytest.raises(RuntimeError, match="size mismatch"):
        each.load_state_dict({"table": one.table[0]})


@pytest.mark.parametrize("shared", [True, False])
def test_a_bias_of_ones_own_may_leave_the_axis_out(shared: bool) -> None:
    class Mine(positional.RelativeBias):
        def bias_at(self, delta: torch.Tensor) -> torch.Tensor:
            heads = torch.arange(4.0).view(-1, *[1] * delta.dim())
            bias = -heads * delta.abs()
            return bias if shared else bias.unsqueeze(0)

    (case,) = (case for case in CASES if case.name == "alibi")
    model, x = encoder(case, causal=True), tokens()
    outputs = []
    for positions_ in (None, torch.arange(x.shape[1])[None].float()):
        model.positional = Mine(dims(causal=True))
        outputs.append(model(x, positions=positions_))
    torch.testing.assert_close(*outputs, rtol=0, atol=1e-5)
