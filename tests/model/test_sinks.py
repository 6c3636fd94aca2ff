"""A learned logit that nobody's value answers: every kernel has it, and it is gpt-oss's.

Shapes: B sequences, H heads, G key-value heads, T queries, S keys, K channels of a head.
"""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.models.gpt_oss.modeling_gpt_oss import eager_attention_forward

from lightning_posenc import Encoder
from lightning_posenc.diagnostics import observe
from lightning_posenc.diagnostics.measures.fused_entropy import entropy_of
from lightning_posenc.masks import Causal, Visibility, Window
from lightning_posenc.model import SDPA, Attention, Eager, Flex
from lightning_posenc.model.kernels import Kernels, Operands, attention_weights
from lightning_posenc.positional import ALiBi, RoPE
from lightning_posenc.positional.base import Factory
from tests.helpers import dims

B, H, G, T, K = 2, 4, 2, 7, 8


def operands(mask: Any, bias: Tensor | None = None) -> Operands:
    torch.manual_seed(0)
    q, k, v = torch.randn(B, H, T, K), torch.randn(B, G, T, K), torch.randn(B, G, T, K)
    seen = Visibility(mask, T, T, torch.device("cpu"))
    return Operands(q, k, v, bias, seen, None, K**-0.5, sinks=torch.randn(H))


@pytest.mark.parametrize("mask", [None, Causal(), Causal() & Window(3)])
@pytest.mark.parametrize("biased", [False, True])
def test_fused_equals_eager_values_and_gradients(mask: Any, biased: bool) -> None:
    given = operands(mask, torch.randn(1, H, T, T) if biased else None)
    assert isinstance(Kernels(SDPA()).serving(given), SDPA)
    assert not Flex().expresses(given)
    outputs, gradients = [], []
    for kernel in (SDPA(), Eager()):
        leaves = [x.clone().requires_grad_() for x in (*given[:3], given.sinks) if x is not None]
        q, k, v, sinks = leaves
        outputs.append(kernel(given._replace(q=q, k=k, v=v, sinks=sinks)))
        gradients.append(torch.autograd.grad(outputs[-1].sin().sum(), leaves))
    torch.testing.assert_close(*outputs)
    for fused, eager in zip(*gradients, strict=True):
        torch.testing.assert_close(fused, eager, rtol=1e-4, atol=1e-6)


def test_weights_are_those_of_gpt_oss() -> None:
    given = operands(Causal())
    module = nn.Module()
    module.num_key_value_groups = H // G  # type: ignore[assignment]
    module.sinks = nn.Parameter(given.sinks)
    hidden = torch.zeros(T, T).masked_fill(~torch.ones(T, T, dtype=torch.bool).tril(), -torch.inf)
    out, weights = eager_attention_forward(module, *given[:3], hidden[None, None], given.scale)
    torch.testing.assert_close(attention_weights(given), weights)
    torch.testing.assert_close(SDPA()(given), out.transpose(1, 2))


@pytest.mark.parametrize("positional", [RoPE, ALiBi])
def test_a_sink_of_minus_infinity_is_none(positional: Factory) -> None:
    x = torch.randn(B, T, 32)
    with_sinks = Encoder(dims(True), positional, mixer=partial(Attention, sinks=True)).eval()
    without = Encoder(dims(True), positional, mixer=Attention).eval()
    without.load_state_dict(with_sinks.state_dict(), strict=False)
    assert (with_sinks(x) - without(x)).abs().amax() > 1e-3
    for mixer in with_sinks.mixers:
        nn.init.constant_(mixer.get_parameter("sinks"), -1e4)
    torch.testing.assert_close(with_sinks(x), without(x))


def test_diagnostics_see_weights_that_add_up_to_less() -> None:
    model = Encoder(dims(True), RoPE, mixer=partial(Attention, sinks=True)).eval()
    with observe(model) as seen:
        model(torch.randn(B, T, 32))
    for layer in seen.attention:
        weights = attention_weights(layer)
        assert (weights.sum(dim=-1) < 0.99).all()
        expected = torch.special.entr(weights).sum(dim=-1)
        torch.testing.assert_close(entropy_of(layer), expected)
