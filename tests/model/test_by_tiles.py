"""Attention by tiles equals its definition, whatever the mask, the bias and the sizes of tiles.

Shapes: B sequences, T tokens, H heads, G key-value heads, K channels of a head.
"""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from lightning_posenc import Dims, Encoder
from lightning_posenc.diagnostics import observe
from lightning_posenc.masks import Causal, Documents, Mask, Padding, Visibility, Window, tiles
from lightning_posenc.model import SDPA, Attention, Eager
from lightning_posenc.model.kernels import (
    Kernel,
    Kernels,
    Operands,
    by_tiles,
    sdpa,
    tile_products,
)
from lightning_posenc.positional import (
    ALiBi,
    Chain,
    Factory,
    FoX,
    KERPLELog,
    NoPE,
    RoPE,
    T5Bias,
    by_distance,
)
from lightning_posenc.positional.by_distance import ByDistance
from lightning_posenc.positions import PerDocument, Randomized, Shifted

B, T, H, G, K = 2, 23, 4, 2, 5
CPU = torch.device("cpu")
DOCUMENTS = torch.tensor([[0] * 9 + [1] * 3 + [2] * 11, [4] * 20 + [5] * 3])
MASKS: dict[str, Mask | None] = {
    "all": None,
    "causal": Causal(),
    "packed": Causal() & Documents(DOCUMENTS),
    "padded": Padding(torch.tensor([T, 7])),
    "window": Causal() & Window(6),
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several tiles, some of which come in chunks."""
    monkeypatch.setattr(tiles, "TILE", 4)
    monkeypatch.setattr(tile_products, "AT_ONCE", 8)
    monkeypatch.setattr(tile_products, "CHUNK", 5)


def a_table(n_queries: int = T) -> ByDistance:
    keys = torch.arange(T)[None]
    values = torch.randn(H, 2 * T + 5, dtype=torch.float64, requires_grad=True)
    return ByDistance(values, -T - 3, keys[:, -n_queries:], keys, T - n_queries)


BIASES: dict[str, Callable[[], Tensor | ByDistance | None]] = {
    "none": lambda: None,
    "table": a_table,
    "of all": lambda: torch.randn(1, 1, T, T, dtype=torch.float64, requires_grad=True),
    "of each": lambda: torch.randn(B, H, T, T, dtype=torch.float64, requires_grad=True),
}


def operands(mask: Mask | None, bias: Tensor | ByDistance | None, n_queries: int = T) -> Operands:
    made = partial(torch.randn, dtype=torch.float64, requires_grad=True)
    q, k, v = made(B, H, n_queries, K), made(B, G, T, K), made(B, G, T, K)
    return Operands(q, k, v, bias, Visibility(mask, n_queries, T, CPU), None, K**-0.5)


def learned(of: Operands) -> list[Tensor]:
    values = of.bias.values if isinstance(of.bias, ByDistance) else of.bias
    found = (of.q, of.k, of.v, values)
    return [x for x in found if isinstance(x, Tensor) and x.requires_grad]


def outcomes(attend: Callable[[Operands], Tensor], of: Operands) -> tuple[Tensor, ...]:
    """What is mixed, and the gradients."""
    out = attend(of)
    return out, *torch.autograd.grad((out * torch.linspace(-1, 1, K)).sin().sum(), learned(of))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("mask", MASKS)
def test_values_and_gradients_are_those_of_the_definition(mask: str, bias: str) -> None:
    of = operands(MASKS[mask], BIASES[bias]())
    for got, wanted in zip(outcomes(by_tiles.by_tiles, of), outcomes(Eager(), of), strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-10)


@pytest.mark.usefixtures("small")
def test_queries_that_are_the_last_of_the_keys() -> None:
    of = operands(Causal(), a_table(9), 9)
    for got, wanted in zip(outcomes(by_tiles.by_tiles, of), outcomes(Eager(), of), strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-10)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("bias", BIASES)
def test_gradients_of_gradients(bias: str) -> None:
    of = operands(Causal(), BIASES[bias]())

    def second(attend: Callable[[Operands], Tensor]) -> tuple[Tensor, ...]:
        leaves = learned(of)
        first = torch.autograd.grad(attend(of).sin().sum(), leaves, create_graph=True)
        return torch.autograd.grad(sum(x.square().sum() for x in first), leaves)

    for got, wanted in zip(second(by_tiles.by_tiles), second(Eager()), strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-9)


def single(x: Tensor) -> Tensor:
    return x.detach().float().requires_grad_()


@pytest.mark.usefixtures("small")
def test_logits_far_apart_stay_finite() -> None:
    """A chunk's keys may weigh nothing beside another's, in either order."""
    for sign in (1, -1):
        bias = sign * torch.linspace(0, 4000, T).expand(1, 1, T, T)
        of = operands(None, bias)
        of = of._replace(q=single(of.q), k=single(of.k), v=single(of.v))
        for got, wanted in zip(outcomes(by_tiles.by_tiles, of), outcomes(Eager(), of), strict=True):
            torch.testing.assert_close(got, wanted, rtol=0, atol=1e-4)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    of = operands(Causal(), a_table())
    half = of._replace(q=of.q.to(dtype), k=of.k.to(dtype), v=of.v.to(dtype))
    exact = of._replace(q=half.q.double(), k=half.k.double(), v=half.v.double())
    got = by_tiles.by_tiles(half)
    assert got.dtype == dtype
    wanted = Eager()(exact)
    torch.testing.assert_close(got.double(), wanted, rtol=torch.finfo(dtype).eps, atol=1e-6)


def calls(monkeypatch: pytest.MonkeyPatch) -> list[Operands]:
    """What is attended to by tiles from now on."""
    seen: list[Operands] = []

    def counted(of: Operands) -> Tensor:
        seen.append(of)
        return by_tiles.by_tiles(of)

    monkeypatch.setattr(sdpa, "by_tiles", counted)
    return seen


def model_outcomes(
    model: Encoder, kernel: type[Kernel], x: Tensor, documents: Tensor | None
) -> list[Tensor]:
    for mixer in model.mixers:
        mixer.kernel = Kernels(kernel())
    out = model(x, documents=documents)
    weights = torch.linspace(-1, 1, out.numel()).view_as(out)
    return [out, *torch.autograd.grad((out * weights).sum(), list(model.parameters()))]


@pytest.mark.parametrize(
    ("factory", "options"),
    {
        "linear": (ALiBi, {"mask": Window(100)}),
        "buckets": (T5Bias, {}),
        "each layer": (partial(KERPLELog, shared=False), {"positions": Shifted(500)}),
        "turned and grouped": (
            Chain.of(RoPE, T5Bias),
            {"mixer": partial(Attention, n_kv_heads=1)},
        ),
        "of the content": (FoX, {}),
        "packed": (T5Bias, {"positions": PerDocument(), "packed": True}),
        "packed alone": (NoPE, {"packed": True}),
        "window": (T5Bias, {"mask": Window(40)}),
    }.values(),
)
def test_models_take_it(
    monkeypatch: pytest.MonkeyPatch, factory: Factory, options: dict[str, object]
) -> None:
    monkeypatch.setattr(by_distance, "MANY", 200)
    options = dict(options)
    length, packed = 210, options.pop("packed", False)
    seen = calls(monkeypatch)
    torch.manual_seed(0)
    model = Encoder(Dims(16, 2, 2, causal=True), factory, **options).double()  # type: ignore[arg-type]
    x = torch.randn(2, length, 16, dtype=torch.float64)
    documents = torch.arange(length).div(70, rounding_mode="floor").expand(2, -1)
    torch.manual_seed(1)
    got = model_outcomes(model, SDPA, x, documents if packed else None)
    assert len(seen) == 2
    torch.manual_seed(1)
    wanted = model_outcomes(model, Eager, x, documents if packed else None)
    assert len(seen) == 2
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5)


def test_positions_that_do_not_count_one_by_one_are_looked_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(by_distance, "MANY", 200)
    seen = calls(monkeypatch)
    model = Encoder(Dims(16, 2, 1, causal=True), T5Bias, positions=Randomized(2000))
    model(torch.randn(1, 210, 16))
    assert isinstance(seen[0].bias, Tensor)
    with observe(model) as record:
        model(torch.randn(1, 210, 16), positions=torch.arange(210).unsqueeze(0))
    assert len(seen) == 2
    bias = record.attention[0].bias
    assert isinstance(bias, ByDistance)
    assert bias.diagonal == 0


def test_a_tile_knows_only_what_somebody_sees() -> None:
    visibility = Visibility(Causal() & Documents(torch.arange(600)[None] // 200), 600, 600, CPU)
    (of_all,) = visibility.tiles
    stretches = [(tile.low, tile.high) for tile in of_all]
    assert stretches == [(0, 128), (0, 256), (200, 384), (200, 512), (400, 600)]
