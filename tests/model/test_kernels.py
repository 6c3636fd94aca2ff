"""Every execution of attention equals the materialised one.

Shapes: B sequences, T tokens, H heads, G key-value heads, K channels of a head.
"""

import itertools
import math
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention

from lightning_posenc.dims import Dims
from lightning_posenc.masks import Causal, Documents, Mask, Padding, Visibility, Window
from lightning_posenc.model import SDPA, Eager, Encoder, Flex, Kernel
from lightning_posenc.model.kernels import Kernels, by_rows, read_weights
from lightning_posenc.model.kernels.flex import attend_by
from lightning_posenc.positional import (
    ALiBi,
    DeBERTa,
    Factory,
    PaTH,
    ShawRelative,
    Site,
    TransformerXL,
    WaveletBias,
    by_distance,
)
from lightning_posenc.positional.by_distance import ByDistance
from lightning_posenc.positions import Places
from tests.helpers import operands

B, T, H, K = 3, 10, 4, 8
CPU = torch.device("cpu")
MASKS: dict[str, Mask | None] = {
    "all": None,
    "causal": Causal(),
    "window": Causal() & Window(3),
    "padded": Padding(torch.tensor([10, 4, 1])),
    "packed": Causal() & Documents(torch.tensor([[0] * 10, [0] * 3 + [1] * 7, [0] * 9 + [1]])),
}
BIASES = {"no-bias": None, "shared": (1, 1), "per-head": (1, H), "per-token": (B, H)}
each_mask = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
each_bias = pytest.mark.parametrize("rows", BIASES.values(), ids=BIASES)
each_grouping = pytest.mark.parametrize("n_kv_heads", [4, 2, 1])


def inputs(n_kv_heads: int, rows: tuple[int, int] | None) -> tuple[Tensor, ...]:
    q = torch.randn(B, H, T, K)
    k, v = torch.randn(2, B, n_kv_heads, T, K)
    bias = () if rows is None else (torch.randn(*rows, T, T),)
    return q, k, v, *bias


def by_hand(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, visibility: Visibility) -> Tensor:
    """softmax(q·k / sqrt(K) + bias)·v over the visible keys, one query at a time."""
    seen = torch.ones(1, 1, T, T).bool() if visibility.dense is None else visibility.dense
    seen = seen.expand(B, 1, T, T)
    bias = torch.zeros(B, H, T, T) if bias is None else bias.expand(B, H, T, T)
    out = torch.empty_like(q)
    for b in range(B):
        for h in range(H):
            group = h * k.shape[1] // H
            for i in range(T):
                keys = seen[b, 0, i]
                logits = k[b, group, keys] @ q[b, h, i] / math.sqrt(K) + bias[b, h, i, keys]
                out[b, h, i] = logits.softmax(0) @ v[b, group, keys]
    return out


@each_mask
@each_bias
@each_grouping
def test_eager_equals_definition(
    mask: Mask | None, rows: tuple[int, int] | None, n_kv_heads: int
) -> None:
    q, k, v, *rest = inputs(n_kv_heads, rows)
    bias = rest[0] if rest else None
    visibility = Visibility(mask, T, T, CPU)
    out = Eager()(operands(q, k, v, bias, visibility))
    torch.testing.assert_close(out, by_hand(q, k, v, bias, visibility), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kernel", [SDPA, Flex])
@each_mask
@each_bias
@each_grouping
def test_kernel_equals_eager(
    kernel: type[Kernel], mask: Mask | None, rows: tuple[int, int] | None, n_kv_heads: int
) -> None:
    tensors = [tensor.requires_grad_() for tensor in inputs(n_kv_heads, rows)]
    q, k, v, *rest = tensors
    bias = rest[0] if rest else None
    weights = torch.randn(B, H, T, K)
    results = []
    for tried in (Kernels(kernel()), Eager()):
        out = tried(operands(q, k, v, bias, Visibility(mask, T, T, CPU)))
        results.append((out, *torch.autograd.grad((out * weights).sum(), tensors)))
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


def a_table(rows: int) -> ByDistance:
    """Distances between positions that leave some out, in their order."""
    positions = torch.arange(rows * T).view(rows, T) % 7 * 2
    return ByDistance(torch.randn(H, 25).requires_grad_(), -12, positions, positions)


@pytest.mark.parametrize("kernel", [SDPA, Flex, Eager])
@each_mask
@each_grouping
@pytest.mark.parametrize("rows", [1, B])
def test_a_table_is_the_bias_that_it_writes_out(
    monkeypatch: pytest.MonkeyPatch,
    kernel: type[Kernel],
    mask: Mask | None,
    n_kv_heads: int,
    rows: int,
) -> None:
    monkeypatch.setattr(by_rows, "ROWS", 4)
    monkeypatch.setattr(by_distance, "LARGE", 0)
    q, k, v = (tensor.requires_grad_() for tensor in inputs(n_kv_heads, None))
    table = a_table(rows)
    learned = [q, k, v, table.values]
    weights = torch.randn(B, H, T, K)
    results = []
    for tried, bias in ((Kernels(kernel()), table), (Eager(), table.written_out())):
        visibility = Visibility(mask, T, T, CPU)
        with torch.no_grad():
            unlearned = tried(operands(q, k, v, bias, visibility))
        out = tried(operands(q, k, v, bias, visibility))
        grads = torch.autograd.grad((out * weights).sum(), learned)
        results.append((unlearned, out, *grads))
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


def test_what_a_table_writes_out() -> None:
    table = a_table(1)
    bias = table.written_out()
    assert bias.shape == (1, H, T, T)
    for i, j in itertools.product(range(T), repeat=2):
        distance = int(table.q_pos[0, i] - table.k_pos[0, j])
        assert torch.equal(bias[0, :, i, j], table.values[:, distance + 12])
    assert torch.equal(table.of(slice(2, 5), slice(6)).written_out(), bias[:, :, 2:5, :6])


def test_dropout_beside_a_table_is_the_same_in_the_backward_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise the gradient by v would not be the weights that the output was made of."""
    monkeypatch.setattr(by_rows, "ROWS", 4)
    monkeypatch.setattr(by_distance, "LARGE", 0)
    q, k, v = inputs(H, None)
    v.requires_grad_()
    out = SDPA(0.5)(operands(q, k, v, a_table(1), Visibility(Causal(), T, T, CPU)))
    (grad,) = torch.autograd.grad(out.sum(), v)  # linear in v: the output is found again
    torch.testing.assert_close((grad * v).sum(), out.sum())


@pytest.mark.slow
def test_a_table_costs_memory_in_proportion_to_the_length() -> None:
    def kept(length: int) -> int:
        """Bytes that the backward pass waits for."""
        found: dict[int, int] = {}

        def pack(x: Tensor) -> Tensor:
            found[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        model = Encoder(Dims(16, 2, 1, causal=True), ALiBi)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            model(torch.randn(1, length, 16)).sum().backward()
        return sum(found.values())

    assert 1.9 < kept(3000) / kept(1500) < 2.1


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@each_mask
@pytest.mark.slow
def test_flex_attention_takes_a_table(mask: Mask | None) -> None:
    q, k, v = inputs(2, None)
    visibility = Visibility(mask, T, T, CPU)
    for rows in (1, B):
        table = a_table(rows)
        with torch.no_grad():
            out = attend_by(flex_attention, operands(q, k, v, table, visibility))
            expected = Eager()(operands(q, k, v, table.written_out(), visibility))
        torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@each_mask
@each_bias
@pytest.mark.slow
def test_flex_attention_equals_eager(mask: Mask | None, rows: tuple[int, int] | None) -> None:
    """What CUDA compiles, uncompiled (which is slow) and forward, as the CPU has no backward."""
    q, k, v, *rest = inputs(2, rows)
    bias = rest[0] if rest else None
    visibility = Visibility(mask, T, T, CPU)
    with torch.no_grad():
        out = attend_by(flex_attention, operands(q, k, v, bias, visibility))
        expected = Eager()(operands(q, k, v, bias, visibility))
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)


@each_mask
@pytest.mark.parametrize("tabled", [False, True], ids=["bias", "table"])
def test_weights_are_read_a_few_queries_at_a_time(
    mask: Mask | None, tabled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an encoding makes of the weights and its gradients, in parts or at once."""
    q, k, v, bias = inputs(2, (1, H))
    visibility = Visibility(mask, T, T, CPU)
    given = operands(q.requires_grad_(), k, v, a_table(1) if tabled else bias, visibility)
    table, found, sizes = torch.randn(T, K, requires_grad=True), [], []

    def read(weights: Tensor, queries: slice) -> Tensor:
        sizes.append(weights.shape[2:])
        return weights @ table[: weights.shape[-1]]

    for rows in (by_rows.ROWS, 4):
        monkeypatch.setattr(by_rows, "ROWS", rows)
        out = read_weights(given, read)
        found.append((out, *torch.autograd.grad(out.square().sum(), (q, table))))
    torch.testing.assert_close(found[1], found[0])
    hides = mask is not None and mask.hides_future
    expected = [(4, 4), (4, 8), (2, 10)] if hides else [(4, T), (4, T), (2, T)]
    assert sizes[:4] == [(T, T), *expected]


@pytest.mark.parametrize("kernel", [SDPA, Flex])
def test_rescored_logits_are_masked_and_biased(kernel: type[Kernel]) -> None:
    q, k, v, bias = inputs(H, (1, H))
    visibility = Visibility(Causal(), T, T, CPU)
    met: list[Tensor] = []

    def rescore(logits: Tensor) -> Tensor:
        met.append(logits)
        return 2 * logits

    out = Kernels(kernel())(operands(q, k, v, bias, visibility, rescore))
    logits = (q @ k.mT / math.sqrt(K) + bias).masked_fill(~Causal().dense(T, T, CPU), -torch.inf)
    torch.testing.assert_close(met, [logits])
    torch.testing.assert_close(out, (2 * logits).softmax(-1) @ v)


@pytest.mark.parametrize("kernel", [Eager, SDPA, Flex])
def test_dropout_acts_in_training_only(kernel: type[Kernel]) -> None:
    q, k, v = inputs(H, None)
    visibility = Visibility(None, T, T, CPU)
    dropping = Kernels(kernel(0.5))
    attend = partial(dropping, operands(q, k, v, None, visibility))
    assert not torch.equal(attend(), attend())
    dropping.eval()
    torch.testing.assert_close(attend(), Eager()(operands(q, k, v, None, visibility)))


@pytest.mark.parametrize("kernel", [Eager, SDPA])
def test_dropout_keeps_the_expectation(kernel: type[Kernel]) -> None:
    q, k, v = inputs(H, None)
    visibility = Visibility(None, T, T, CPU)
    expected = Eager()(operands(q, k, v, None, visibility))
    many = [part.repeat(2000, 1, 1, 1) for part in (q, k, v)]
    mean = kernel(0.2)(operands(*many, None, visibility)).unflatten(0, (2000, B)).mean(0)
    torch.testing.assert_close(mean, expected, rtol=0, atol=0.05)


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_dropout_out_of_range(dropout: float) -> None:
    with pytest.raises(ValueError, match=f"SDPA: dropout={dropout} must be"):
        SDPA(dropout)


@pytest.mark.parametrize("kernel", [Eager, SDPA])
def test_half_precision_stays(kernel: type[Kernel]) -> None:
    q, k, v, bias = (tensor.bfloat16() for tensor in inputs(2, (1, H)))
    visibility = Visibility(Causal(), T, T, CPU)
    out = kernel()(operands(q, k, v, bias, visibility))
    assert out.dtype == torch.bfloat16
    exact = Eager()(operands(q.float(), k.float(), v.float(), bias.float(), visibility))
    torch.testing.assert_close(out.float(), exact, rtol=0, atol=0.05)


@pytest.mark.parametrize("kernel", [Eager, SDPA])
def test_large_products_of_half_precision_stay_finite(kernel: type[Kernel]) -> None:
    """F19: q·k of 73728 is infinite in float16, while the logit that comes of it is 6517."""
    q = torch.full((1, 1, 4, 128), 24.0, dtype=torch.float16)
    v = torch.randn(1, 1, 4, 128).half()
    out = kernel()(operands(q, q, v, None, Visibility(Causal(), 4, 4, CPU), None, 128**-0.5))
    seen = [v[:, :, : i + 1].float().mean(dim=2) for i in range(4)]
    torch.testing.assert_close(out.float(), torch.stack(seen, dim=2), rtol=0, atol=2e-3)


OF_CONTENT: dict[str, Factory] = {
    "ShawRelative": ShawRelative,
    "DeBERTa": DeBERTa,
    "TransformerXL": TransformerXL,
    "WaveletBias": WaveletBias,
    "PaTH": PaTH,
}


@pytest.mark.parametrize("name", OF_CONTENT)
def test_products_with_large_queries_in_half_precision_stay_finite(name: str) -> None:
    """F19 where an encoding multiplies queries itself: by vectors as large as the queries."""
    encoding = OF_CONTENT[name](Dims(128, 1, 1, causal=True))
    q = torch.full((1, 1, 4, 128), 24.0)
    with torch.no_grad():
        if isinstance(encoding, ShawRelative | DeBERTa):
            encoding.table.fill_(24.0)
        if isinstance(encoding, DeBERTa):
            for projection in (encoding.key_projection, encoding.query_projection):
                projection.copy_(torch.eye(128))
    encoding, q = encoding.half(), q.half()
    places, x = Places(torch.arange(4).unsqueeze(0)), torch.randn(1, 4, 128).half()
    site = Site(0, x, x, q, q, q, places, places, encoding.prepare(places, places))
    bias = encoding.bias(site)
    assert isinstance(bias, Tensor)
    assert bias.isfinite().all()
