"""For very many pairs a bias stays a table; nothing else changes."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from lightning_posenc import Dims, Encoder, positional
from lightning_posenc.diagnostics import observe
from lightning_posenc.model import Attention, Flex
from lightning_posenc.model.kernels import logits as logits_of
from lightning_posenc.positional import (
    DAPE,
    FIRE,
    TUPE,
    ALiBi,
    Chain,
    Factory,
    PerLayer,
    RelativeBias,
    RoPE,
    T5Bias,
    by_distance,
)
from lightning_posenc.positional.by_distance import ByDistance
from lightning_posenc.positions import Randomized
from lightning_posenc.positions.places import Places
from tests.cases import Case
from tests.helpers import counted, each_method

T = 12
OF_DISTANCE = {
    name: kind
    for name, kind in vars(positional).items()
    if inspect.isclass(kind) and issubclass(kind, RelativeBias) and not inspect.isabstract(kind)
}
COMPOSED: dict[str, Factory] = {
    "two biases": Chain.of(ALiBi, T5Bias),
    "rotated and biased": Chain.of(RoPE, partial(T5Bias, shared=False)),
    "every other layer": PerLayer.of(ALiBi, T5Bias),
    "adapted": partial(DAPE, encoding=ALiBi),
    "untied": partial(TUPE, relative=True),
}


def outcomes(factory: Factory, checkpointed: bool = False, **options: object) -> list[Tensor]:
    """Output, and gradients of all parameters."""
    torch.manual_seed(0)
    model = Encoder(Dims(16, 4, 2, causal=True), factory, **options)  # type: ignore[arg-type]
    model.train().checkpoint_activations = checkpointed
    x = torch.randn(2, T, 16)
    out = model(x, lengths=torch.tensor([T, 5]))
    weights = torch.linspace(-1, 1, out.numel()).view_as(out)
    parameters = list(model.parameters())
    grads = torch.autograd.grad((out * weights).sum(), parameters, allow_unused=True)
    return [out, *(grad for grad in grads if grad is not None)]


@pytest.fixture
def tabled(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes every number of pairs a large one."""
    return lambda: monkeypatch.setattr(by_distance, "LARGE", 0)


def assert_same(factory: Factory, tabled: Callable[[], None], **options: Any) -> None:
    expected = outcomes(factory, **options)
    tabled()
    for got, wanted in zip(outcomes(factory, **options), expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("factory", (OF_DISTANCE | COMPOSED).values(), ids=OF_DISTANCE | COMPOSED)
def test_output_and_gradients_are_the_same(factory: Factory, tabled: Callable[[], None]) -> None:
    assert_same(factory, tabled)


@pytest.mark.parametrize("factory", [ALiBi, T5Bias])
@pytest.mark.parametrize(
    "options",
    [
        {"checkpointed": True},
        {"mixer": partial(Attention, n_kv_heads=2)},
        {"mixer": partial(Attention, kernel=Flex)},
    ],
    ids=str,
)
def test_with_the_rest_of_the_model(
    factory: Factory, options: dict[str, object], tabled: Callable[[], None]
) -> None:
    assert_same(factory, tabled, **options)


def test_randomised_positions_are_looked_up_too(tabled: Callable[[], None]) -> None:
    assert_same(T5Bias, tabled, positions=Randomized(20))


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # Dynamo, after a graph break
@pytest.mark.parametrize("factory", [ALiBi, partial(T5Bias, shared=False)])
@pytest.mark.slow
def test_compiled(factory: Factory, tabled: Callable[[], None]) -> None:
    tabled()
    torch.manual_seed(0)
    model = Encoder(Dims(16, 4, 2, causal=True), factory)
    x = torch.randn(2, T, 16)
    expected = model(x)
    model.compile(backend="aot_eager")
    torch.testing.assert_close(model(x), expected, rtol=0, atol=1e-5)


def test_what_is_watched_is_the_same(tabled: Callable[[], None]) -> None:
    model = Encoder(Dims(16, 4, 2, causal=True), T5Bias)
    x = torch.randn(2, T, 16)

    def seen() -> list[Tensor]:
        found: list[Tensor] = []
        with observe(model, take_attention=lambda v: found.append(logits_of(v, slice(3, 9)))):
            model(x)
        return found

    expected = seen()
    tabled()
    found = seen()
    assert len(found) == 2  # one view a layer, however many parts it was computed in
    torch.testing.assert_close(found, expected)


def test_a_table_and_a_bias_are_added() -> None:
    """F, "missing": an encoding built on another adds to its bias, of however many pairs."""
    table = ByDistance(torch.randn(4, 23), -11, *[torch.arange(T).unsqueeze(0)] * 2)
    bias, whole = torch.randn(1, 4, T, T), table.written_out()
    for total, expected in (
        (bias + table, bias + whole),
        (table + bias, bias + whole),
        (table + table, 2 * whole),
    ):
        assert torch.equal(total, expected)


def test_a_chain_of_tables_is_a_table(tabled: Callable[[], None]) -> None:
    """P4: values are added distance by distance, not pair by pair."""
    x = torch.randn(1, T, 16)
    small, written = Encoder(Dims(16, 4, 2), Chain.of(ALiBi, T5Bias)), Dims(16, 4, 2)
    mixed = Encoder(written, Chain.of(ALiBi, FIRE))
    with observe(small) as before:
        small(x)
    tabled()
    with observe(small) as after, observe(mixed) as others:
        small(x)
        mixed(x)
    for plain, table in zip(before.attention, after.attention, strict=True):
        assert isinstance(table.bias, ByDistance)
        torch.testing.assert_close(table.bias.written_out(), plain.bias)
    assert all(isinstance(operands.bias, Tensor) for operands in others.attention)


@each_method
@torch.no_grad()
def test_what_is_prepared_for_each_layer_does_not_grow_with_the_pairs(case: Case) -> None:
    """P3: biases (B, H, T, S) of all layers never exist at once."""

    def prepared(n_layers: int, length: int) -> int:
        encoding = case.factory(Dims(32, 4, n_layers, causal=True))
        places = Places(counted(case, length))
        leaves = pytree.tree_leaves(encoding.prepare(places, places))
        return sum(x.numel() for x in leaves if isinstance(x, Tensor))

    def of_layers(length: int) -> int:
        return prepared(6, length) - prepared(2, length)

    assert of_layers(32) <= 2.2 * of_layers(16)
