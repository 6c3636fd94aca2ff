"""FlexAttention: its block masks, and what it differentiates, here and on CUDA.

Shapes: B sequences, T tokens, H heads, G key-value heads, K channels of a head.
"""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention

from lightning_posenc import Dims, Encoder
from lightning_posenc.masks import Causal, Documents, Mask, Padding, Visibility, Window
from lightning_posenc.model import SDPA, Attention, Eager, Flex
from lightning_posenc.model.kernels.flex import attend_by, compiled_flex_attention
from lightning_posenc.positional import ALiBi, NoPE, RoPE
from tests.helpers import operands

B, H, G, K = 2, 4, 2, 16
CPU = torch.device("cpu")
on_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="FlexAttention's CUDA kernels")
each_bias = pytest.mark.parametrize("rows", [1, B], ids=["shared", "per-sequence"])


def inputs(length: int, device: torch.device, rows: int) -> list[Tensor]:
    """Queries, keys, values and a bias, all to be learned."""
    shapes = [(B, H, length, K), *[(B, G, length, K)] * 2, (rows, H, length, length)]
    return [torch.randn(shape, device=device).requires_grad_() for shape in shapes]


def assert_gradients_of_oracle(
    attend: Callable[..., Tensor], tensors: list[Tensor], mask: Mask | None, learned: list[Tensor]
) -> None:
    q, k, v, bias = tensors
    results = []
    for run in (partial(attend_by, attend), Eager()):
        visibility = Visibility(mask, q.shape[2], q.shape[2], q.device)
        out = run(operands(q, k, v, bias, visibility))
        weights = torch.linspace(-1, 1, out.numel(), device=out.device).view_as(out)
        results.append((out, *torch.autograd.grad((out * weights).sum(), learned)))
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@each_bias
@pytest.mark.parametrize("mask", [None, Causal() & Window(5)], ids=["all", "window"])
def test_gradient_of_a_learned_bias_without_cuda(mask: Mask | None, rows: int) -> None:
    """The CPU differentiates by the bias, not by queries, keys and values."""
    tensors = inputs(12, CPU, rows)
    fixed = [tensor.detach() for tensor in tensors[:3]]
    assert_gradients_of_oracle(flex_attention, [*fixed, tensors[3]], mask, tensors[3:])


@on_cuda
@each_bias
@pytest.mark.parametrize("mask", [None, Causal(), Causal() & Window(100)])
@pytest.mark.parametrize("length", [128, 200])
def test_gradients_of_a_learned_bias(length: int, mask: Mask | None, rows: int) -> None:
    """What `Flex` waits for before it takes a bias that needs a gradient."""
    tensors = inputs(length, torch.device("cuda"), rows)
    assert_gradients_of_oracle(compiled_flex_attention(), tensors, mask, tensors)


@on_cuda
@pytest.mark.parametrize("positional", [NoPE, RoPE, ALiBi])
def test_model_equals_sdpa(positional: type) -> None:
    torch.manual_seed(0)
    models = {}
    for kernel in (SDPA, Flex):
        torch.manual_seed(0)
        models[kernel] = Encoder(
            Dims(64, 4, 2, True), positional, mixer=partial(Attention, kernel=kernel)
        ).cuda()
    for length in (200, 300):
        x = torch.randn(2, length, 64, device="cuda")
        lengths = torch.tensor([length, length // 2], device="cuda")
        outs = [model(x, lengths=lengths) for model in models.values()]
        torch.testing.assert_close(*outs, rtol=1e-3, atol=1e-3)
        for model, out in zip(models.values(), outs, strict=True):
            model.zero_grad()
            out.square().sum().backward()
        for ours, theirs in zip(*(m.parameters() for m in models.values()), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    "mask",
    [
        Causal(),
        Window(40) & Causal(),
        Causal() & Padding(torch.tensor([300, 7])),
        Causal() & Documents(torch.arange(600).view(2, 300) // 90),
    ],
    ids=["causal", "window", "padded", "packed"],
)
@pytest.mark.parametrize("n_queries", [300, 50])
def test_block_mask_hides_what_nobody_sees_and_nothing_else(mask: Mask, n_queries: int) -> None:
    visibility = Visibility(mask, n_queries, 300, CPU)
    block, dense = visibility.block, visibility.dense
    assert block is not None
    assert dense is not None
    taken = block.to_dense().bool().repeat_interleave(128, -1).repeat_interleave(128, -2)
    seen = dense.expand_as(taken[..., :n_queries, :300])
    assert not (seen & ~taken[..., :n_queries, :300]).any()
    b, q, k = torch.arange(len(seen)), torch.arange(n_queries), torch.arange(300)
    predicate = block.mask_mod(b[:, None, None], 0, q[:, None], k)
    assert torch.equal(predicate.expand_as(seen[:, 0]), seen[:, 0])
    assert visibility.block is block  # made once, for all layers
