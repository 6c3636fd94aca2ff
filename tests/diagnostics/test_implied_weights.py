"""Mixers without a softmax that weigh tokens all the same tell by what; others tell nothing.

Shapes: B sequences, T tokens, D = d_model.
"""

from functools import partial

import pytest
import torch
from torch import Tensor

from lightning_posenc import Dims, Encoder
from lightning_posenc.diagnostics import observe
from lightning_posenc.diagnostics.measures.attention_summary import attention_statistics
from lightning_posenc.diagnostics.observing.row_blocks import weights_by_block
from lightning_posenc.model import LinearAttention, Mixer, Performer, Retention
from lightning_posenc.model.kernels import attention_weights
from lightning_posenc.positional import NoPE, RoPE
from lightning_posenc.positional.base import Factory

B, T, D = 2, 9, 32
LENGTHS = torch.tensor([T, 5])


def encoder(kind: type[Mixer], positional: Factory, causal: bool) -> Encoder:
    torch.manual_seed(0)
    return Encoder(Dims(D, 4, 2, causal=causal), positional, mixer=kind, init_std=0.3).eval()


@torch.no_grad()
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    ("kind", "positional"), [(LinearAttention, NoPE), (Performer, NoPE), (Performer, RoPE)]
)
def test_what_is_mixed_is_the_values_by_the_weights_told(
    kind: type[Mixer], positional: Factory, causal: bool
) -> None:
    of, outputs = encoder(kind, positional, causal), list[Tensor]()
    of.mixers[1].register_forward_hook(lambda _, args, out: outputs.append(out))
    with observe(of) as seen:
        of(torch.randn(B, T, D), lengths=LENGTHS)
    assert seen.layers == [0, 1]
    layer = seen.attention[1]
    weights = attention_weights(layer)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(B, 4, T))
    heads = (weights @ layer.v).transpose(1, 2).flatten(-2)
    mixed = of.mixers[1].get_submodule("out")(heads)
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(mixed[row, :length], outputs[0][row, :length], atol=1e-5, rtol=0)
    by_block = torch.cat([rows for _, rows in weights_by_block(layer, 4)], dim=2)
    torch.testing.assert_close(by_block, weights)
    found = attention_statistics(seen, LENGTHS)
    entropy = torch.as_tensor(found["attn/entropy"][1])
    assert entropy.isfinite().all()
    assert (entropy > 0).all()


@torch.no_grad()
@pytest.mark.parametrize(
    ("kind", "positional"), [(LinearAttention, RoPE), (Retention, NoPE), (Retention, RoPE)]
)
def test_what_is_no_weight_is_not_told(kind: type[Mixer], positional: Factory) -> None:
    """Products that may be negative: the residual stream alone is seen."""
    of = encoder(kind, positional, causal=True)
    with observe(of) as seen:
        of(torch.randn(B, T, D))
    assert seen.attention == []
    assert len(seen.hidden) == 3


def test_watching_changes_nothing() -> None:
    of = Encoder(Dims(D, 4, 1), mixer=partial(Performer, n_features=8)).eval()
    x = torch.randn(B, T, D)
    expected = of(x)
    with observe(of):
        assert torch.equal(of(x), expected)
