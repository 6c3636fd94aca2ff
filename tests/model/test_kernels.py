"""Every execution of attention equals the materialised one.

Shapes: B sequences, T tokens, H heads, G key-value heads, K channels of a head.
"""

import math
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention

from lightning_posenc.masks import Causal, Documents, Mask, Padding, Visibility, Window
from lightning_posenc.model import SDPA, Eager, Flex, Kernel
from lightning_posenc.model.kernels import Operands, flex

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
    out = Eager()(Operands(q, k, v, bias, visibility))
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
    for tried in (kernel(), Eager()):
        out = tried(Operands(q, k, v, bias, Visibility(mask, T, T, CPU)))
        results.append((out, *torch.autograd.grad((out * weights).sum(), tensors)))
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@each_mask
@each_bias
def test_flex_attention_equals_eager(mask: Mask | None, rows: tuple[int, int] | None) -> None:
    """What CUDA compiles, uncompiled (which is slow) and forward, as the CPU has no backward."""
    q, k, v, *rest = inputs(2, rows)
    bias = rest[0] if rest else None
    visibility = Visibility(mask, T, T, CPU)
    with torch.no_grad():
        out = flex(flex_attention, Operands(q, k, v, bias, visibility))
        expected = Eager()(Operands(q, k, v, bias, visibility))
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kernel", [SDPA, Flex])
def test_rescored_logits_are_masked_and_biased(kernel: type[Kernel]) -> None:
    q, k, v, bias = inputs(H, (1, H))
    visibility = Visibility(Causal(), T, T, CPU)
    met: list[Tensor] = []

    def rescore(logits: Tensor) -> Tensor:
        met.append(logits)
        return 2 * logits

    out = kernel()(Operands(q, k, v, bias, visibility, rescore))
    logits = (q @ k.mT / math.sqrt(K) + bias).masked_fill(~Causal().dense(T, T, CPU), -torch.inf)
    torch.testing.assert_close(met, [logits])
    torch.testing.assert_close(out, (2 * logits).softmax(-1) @ v)


@pytest.mark.parametrize("kernel", [Eager, SDPA, Flex])
def test_dropout_acts_in_training_only(kernel: type[Kernel]) -> None:
    q, k, v = inputs(H, None)
    visibility = Visibility(None, T, T, CPU)
    dropping = kernel(0.5)
    attend = partial(dropping, Operands(q, k, v, None, visibility))
    assert not torch.equal(attend(), attend())
    dropping.eval()
    torch.testing.assert_close(attend(), Eager()(Operands(q, k, v, None, visibility)))


@pytest.mark.parametrize("kernel", [Eager, SDPA])
def test_dropout_keeps_the_expectation(kernel: type[Kernel]) -> None:
    q, k, v = inputs(H, None)
    visibility = Visibility(None, T, T, CPU)
    expected = Eager()(Operands(q, k, v, None, visibility))
    many = [part.repeat(2000, 1, 1, 1) for part in (q, k, v)]
    mean = kernel(0.2)(Operands(*many, None, visibility)).unflatten(0, (2000, B)).mean(0)
    torch.testing.assert_close(mean, expected, rtol=0, atol=0.05)


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_dropout_out_of_range(dropout: float) -> None:
    with pytest.raises(ValueError, match=f"got {dropout}"):
        SDPA(dropout)


@pytest.mark.parametrize("kernel", [Eager, SDPA])
def test_half_precision_stays(kernel: type[Kernel]) -> None:
    q, k, v, bias = (tensor.bfloat16() for tensor in inputs(2, (1, H)))
    visibility = Visibility(Causal(), T, T, CPU)
    out = kernel()(Operands(q, k, v, bias, visibility))
    assert out.dtype == torch.bfloat16
    exact = Eager()(Operands(q.float(), k.float(), v.float(), bias.float(), visibility))
    torch.testing.assert_close(out.float(), exact, rtol=0, atol=0.05)
