"""Attention by runs of queries equals attention at once, at the cost of the pairs that are seen.

Shapes: B sequences, T tokens, H heads, G key-value heads, K channels of a head.
"""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_posenc import Dims, Encoder
from lightning_posenc.masks import (
    BigBird,
    Causal,
    Dilated,
    Documents,
    Fixed,
    Longformer,
    Mask,
    Padding,
    StreamingLLM,
    Strided,
    Visibility,
    Window,
)
from lightning_posenc.model import SDPA, Eager, Plain, Reversible
from lightning_posenc.model.kernels import Operands, by_parts
from lightning_posenc.model.kernels.copied_runs import copied_runs
from lightning_posenc.positional import ALiBi, NoPE, RoPE
from lightning_posenc.positional.by_distance import ByDistance
from tests.helpers import operands

B, T, H, G, K = 2, 600, 4, 2, 8
CPU = torch.device("cpu")
MASKS: dict[str, Mask] = {
    "longformer": Longformer(20, 3),
    "longformer-padded": Longformer(20, 1) & Padding(torch.tensor([600, 70])),
    "big-bird": BigBird(16, 1),
    "streaming": Causal() & StreamingLLM(30, 4),
    "window-packed": Causal() & Window(40) & Documents(torch.arange(2 * T).view(2, T) // 90),
    "dilated": Dilated(9, 5),
    "fixed": Causal() & Fixed(64, 4),
}


def table() -> ByDistance:
    positions = torch.arange(T)[None]
    return ByDistance(torch.randn(H, 2 * T - 1, requires_grad=True), 1 - T, positions, positions)


BIASES: dict[str, Callable[[], Tensor | ByDistance | None]] = {
    "no-bias": lambda: None,
    "bias": lambda: torch.randn(1, H, T, T),
    "table": table,
}


DEFAULT = {("longformer", "table"), ("big-bird", "no-bias"), ("streaming", "bias")}


@pytest.mark.parametrize(
    ("name", "biased"),
    [
        pytest.param(*pair, marks=[pytest.mark.slow] * (pair not in DEFAULT))
        for pair in product(MASKS, BIASES)
    ],
)
def test_it_equals_the_definition(name: str, biased: str) -> None:
    mask, bias = MASKS[name], BIASES[biased]()
    q, (k, v) = torch.randn(B, H, T, K), torch.randn(2, B, G, T, K)
    tensors = [x.requires_grad_() for x in (q, k, v)]
    if isinstance(bias, ByDistance):
        tensors.append(bias.values)
    weights, found = torch.randn(B, H, T, K), []
    for kernel in (SDPA(), Eager()):
        visibility = Visibility(mask, T, T, CPU)
        assert len(visibility.parts) == 10
        out = kernel(operands(*tensors[:3], bias, visibility))
        found.append((out, *torch.autograd.grad((out * weights).sum(), tensors)))
    for got, expected in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=2e-5)


def test_learned_sinks_take_their_share_in_every_part() -> None:
    q, (k, v), sinks = torch.randn(B, H, T, K), torch.randn(2, B, G, T, K), torch.randn(H)
    sinks.requires_grad_()
    found = []
    for kernel in (SDPA(), Eager()):
        given = operands(q, k, v, None, Visibility(MASKS["longformer"], T, T, CPU))
        out = kernel(given._replace(sinks=sinks))
        found.append((out, *torch.autograd.grad(out.square().sum(), sinks)))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)


def test_no_kernel_attends_to_more_than_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, int]] = []
    own = SDPA._all

    def spied(self: SDPA, given: Operands) -> Tensor:
        sizes.append((given.q.shape[2], given.k.shape[2]))
        return own(self, given)

    monkeypatch.setattr(SDPA, "_all", spied)
    Encoder(Dims(16, 2, 1), NoPE, mask=Longformer(20, 1))(torch.randn(1, T, 16))
    # The run with the global token sees all; the others it and 19 on each side.
    assert sizes == [(64, T), *[(64, 103)] * 8, (24, 44)]


@pytest.mark.parametrize(
    ("mask", "grows"),
    [(Longformer(65, 2), 1.05), (BigBird(64, 2), 1.1), (Causal() & StreamingLLM(65, 2), 1.05)],
    ids=["longformer", "big-bird", "streaming"],
)
def test_pairs_grow_as_tokens_do(mask: Mask, grows: float) -> None:
    def pairs(length: int) -> int:
        parts = Visibility(mask, length, length, CPU).parts
        return sum(part.visibility.n_queries * len(part.near) for part in parts)

    assert 1.9 < pairs(8192) / pairs(4096) < 2 * grows


@pytest.mark.parametrize("mask", [None, Causal(), Window(500), Strided(17)], ids=str)
def test_what_most_see_is_attended_to_at_once(mask: Mask | None) -> None:
    assert Visibility(mask, T, T, CPU).parts == ()


def test_a_bias_that_learns_for_every_pair_is_attended_to_at_once() -> None:
    """It would have as many gradients of its size as there are parts."""
    bias = torch.randn(1, H, T, T, requires_grad=True)
    q, (k, v) = torch.randn(B, H, T, K), torch.randn(2, B, G, T, K)
    given = operands(q, k, v, bias, Visibility(MASKS["dilated"], T, T, CPU))
    out = SDPA()(given)
    torch.testing.assert_close(out, Eager()(given), rtol=0, atol=1e-5)
    assert given.visibility._parts is None


def test_dropout_drops_in_every_part() -> None:
    v = torch.ones(1, 1, T, 1)
    given = operands(torch.zeros(1, 1, T, 1), v, v, None, Visibility(MASKS["dilated"], T, T, CPU))
    out = SDPA(0.5)(given)
    assert ((out - 1).abs() > 1e-3).flatten().float().mean() > 0.5
    assert abs(out.mean().item() - 1) < 0.1
    torch.testing.assert_close(SDPA(0.5).eval()(given), v)


def kept(model: Encoder, length: int) -> int:
    """Bytes that the backward pass waits for."""
    found: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        found[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        model(torch.randn(1, length, model.dims.d_model)).sum().backward()
    return sum(found.values())


@pytest.mark.slow
@pytest.mark.parametrize("positional", [RoPE, ALiBi])
def test_memory_grows_as_tokens_do(positional: type) -> None:
    model = Encoder(Dims(16, 2, 1), positional, mask=Longformer(65, 1))
    assert 1.8 < kept(model, 4096) / kept(model, 2048) < 2.2


@pytest.mark.parametrize("mask", [BigBird(64, 1), Longformer(30, 0)], ids=str)
def test_copies_of_keys_are_not_kept(mask: Mask) -> None:
    """Each run of queries has a copy of the keys that it sees: seven times all keys for BigBird."""
    dims = Dims(32, 4, 1)
    assert Visibility(mask, 1024, 1024, CPU).parts
    assert kept(Encoder(dims, mask=mask), 1024) < 1.3 * kept(Encoder(dims), 1024)


def test_runs_that_see_all_their_keys_have_no_mask() -> None:
    parts = Visibility(BigBird(64, 1), 1024, 1024, CPU).parts
    assert [part.visibility.dense for part in parts] == [None] * 16
    edges = Visibility(BigBird(48, 1), 1024, 1024, CPU).parts  # blocks end within runs
    assert any(part.visibility.dense is not None for part in edges)


@pytest.mark.parametrize(
    ("residual", "checkpoints"), [(Plain, False), (Plain, True), (Reversible, False)]
)
def test_gradients_are_as_if_copies_were_kept(
    residual: Any, checkpoints: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Encoder(Dims(16, 2, 2), RoPE, mask=BigBird(16, 1), residual=residual, init_std=0.2)
    model.checkpoint_activations = checkpoints
    x, found = torch.randn(1, T, 16), []
    for _ in range(2):
        loss = model(x).square().sum()
        found.append(torch.autograd.grad(loss, list(model.parameters())))
        monkeypatch.setattr(by_parts, "taken_again", lambda *_: nullcontext())
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


def test_runs_that_overlap_add_up_their_gradients_once_and_twice() -> None:
    near = [torch.tensor([0, 1, 2]), torch.tensor([2, 4]), torch.tensor([1, 2, 3, 4])]
    source = torch.randn(2, 1, 5, 3, dtype=torch.float64, requires_grad=True)
    for copy, each in zip(copied_runs(source, near), near, strict=True):
        assert torch.equal(copy, source[:, :, each])
    runs = partial(copied_runs, near=near)
    assert torch.autograd.gradcheck(runs, source)
    assert torch.autograd.gradgradcheck(lambda x: [y**3 for y in runs(x)], source)


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # torch's, under vmap
def test_gradients_by_torch_func_of_a_sparse_model() -> None:
    model = Encoder(Dims(16, 2, 1), RoPE, mask=BigBird(16, 1), init_std=0.2)
    x = torch.randn(1, T, 16)
    expected = torch.autograd.grad(model(x.requires_grad_()).square().sum(), x)[0]
    found = torch.func.grad(lambda x: model(x).square().sum())(x.detach())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    each = torch.func.vmap(model)(torch.stack([x.detach(), -x.detach()]))
    torch.testing.assert_close(each[0], model(x), rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # of what crosses a graph break
@pytest.mark.slow
@pytest.mark.parametrize("mask", [Longformer(20, 1), BigBird(16, 1)], ids=str)
def test_compiled_equals_eager(mask: Mask) -> None:
    torch.compiler.reset()
    model, x = Encoder(Dims(32, 4, 2), RoPE, mask=mask, init_std=0.2), torch.randn(2, T, 32)
    expected = model(x)
    gradients = torch.autograd.grad(expected.square().sum(), list(model.parameters()))
    out = torch.compile(model, backend="aot_eager")(x)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-4)
    for got, wanted in zip(
        torch.autograd.grad(out.square().sum(), list(model.parameters())), gradients, strict=True
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-2)
