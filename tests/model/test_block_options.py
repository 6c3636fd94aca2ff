"""Options that families differ by: parallel branches, biases, a norm of the input."""

from functools import partial

import pytest
import torch
from torch import nn

from lightning_posenc import Dims, Encoder
from lightning_posenc.data import Batch
from lightning_posenc.model import Attention, EncoderSpec, Plain
from lightning_posenc.modules import HeadTransform, LanguageModel, SequenceClassifier
from lightning_posenc.positional import LearnedAbsolute

DIMS = Dims(16, 2, 2)


def test_parallel_branches_read_the_same_stream() -> None:
    encoder, x = Encoder(DIMS, residual=partial(Plain, parallel=True)).eval(), torch.randn(2, 5, 16)
    sequential = Encoder(DIMS).eval()
    sequential.load_state_dict(encoder.state_dict())
    seen: dict[str, torch.Tensor] = {}
    block = encoder.blocks[0]
    for name in ("norm_attention", "norm_feed_forward"):
        getattr(block, name).register_forward_pre_hook(
            lambda _, given, name=name: seen.update({name: given[0]})
        )
    found = encoder(x)
    assert torch.equal(seen["norm_attention"], seen["norm_feed_forward"])
    assert not torch.allclose(found, sequential(x))
    with pytest.raises(ValueError, match="parallel=true goes with norms before the branches"):
        Plain(DIMS, 0, pre_norm=False, parallel=True)


def test_the_embedding_is_normed_with_its_positions() -> None:
    encoder = Encoder(DIMS, LearnedAbsolute, residual=partial(Plain, embedding_norm=True)).eval()
    given = []
    encoder.blocks[0].register_forward_pre_hook(lambda _, args: given.append(args[0]))
    x = 100 * torch.randn(2, 5, 16)
    encoder(x)
    table = encoder.positional.table[:5]  # type: ignore[index]
    expected = nn.functional.layer_norm(x + table, (16,))
    torch.testing.assert_close(given[0], expected)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("out_bias", [None, False, True])
def test_the_output_has_a_bias_of_its_own(bias: bool, out_bias: bool | None) -> None:
    attention = Attention(DIMS, 0, bias=bias, out_bias=out_bias)
    assert (attention.qkv.bias is not None) == bias
    assert (attention.out.bias is not None) == (bias if out_bias is None else out_bias)


def test_a_head_has_a_bias_and_what_comes_before_it() -> None:
    transform = partial(HeadTransform, activation=nn.Tanh, norm=nn.LayerNorm)
    tokens = torch.randint(10, (2, 5))
    batch = Batch(tokens, tokens)
    model = LanguageModel(EncoderSpec(16, 2, 1), 10, head_bias=True, transform=transform).eval()
    states = model.encode(tokens, batch)
    with torch.no_grad():
        model.head_bias.bias += torch.arange(10.0)  # type: ignore[union-attr,operator]
    moved = model.transform.norm(torch.tanh(model.transform.dense(states)))
    expected = 0.02 * moved @ model.embedding.weight.T + torch.arange(10.0)  # type: ignore[operator]
    torch.testing.assert_close(model.logits(batch), expected)
    classes = SequenceClassifier(EncoderSpec(16, 2, 1), 10, 3, head_bias=False, transform=transform)
    assert classes.head.bias is None
    first = SequenceClassifier(EncoderSpec(16, 2, 1), 10, 3, pooling="first", transform=transform)
    at_first = first.transform(first.encode(tokens, batch)[:, 0])
    torch.testing.assert_close(first.logits(batch), first.head(at_first))
