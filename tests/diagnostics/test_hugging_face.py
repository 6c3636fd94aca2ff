"""Hugging Face's models observed: outputs bit-identical, attention as they report it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from lightning_posenc.diagnostics import attention_entropy, observe, summarise, weights_by_block

VOCAB = 50
TOKENS = (2, 11)


def llama(impl: str) -> Any:
    config = transformers.LlamaConfig(
        vocab_size=VOCAB, hidden_size=32, intermediate_size=64, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, attn_implementation=impl,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)


def gpt2(impl: str) -> Any:
    config = transformers.GPT2Config(
        vocab_size=VOCAB, n_embd=32, n_layer=3, n_head=4, bos_token_id=0, eos_token_id=0,
        attn_implementation=impl,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config)


def bert(impl: str) -> Any:
    config = transformers.BertConfig(
        vocab_size=VOCAB, hidden_size=32, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=64, attn_implementation=impl,
    )  # fmt: skip
    return transformers.BertForMaskedLM(config)


def bloom(impl: str) -> Any:
    config = transformers.BloomConfig(
        vocab_size=VOCAB, hidden_size=32, n_layer=3, n_head=4, attn_implementation=impl
    )
    return transformers.BloomForCausalLM(config)


def t5(impl: str) -> Any:
    config = transformers.T5Config(
        vocab_size=VOCAB, d_model=32, d_kv=8, d_ff=64, num_layers=3, num_heads=4,
        attn_implementation=impl,
    )  # fmt: skip
    return transformers.T5EncoderModel(config)


FAMILIES = [
    pytest.param(make, impl, id=f"{make.__name__}-{impl}")
    for make in (llama, gpt2, bert, bloom, t5)
    for impl in ("eager", "sdpa")
    if (make, impl) != (bloom, "sdpa")  # which transformers has not
]


def randomised(model: Any) -> Any:
    """Attention far from uniform."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model.eval()


def first(output: Any) -> Tensor:
    """Logits or states."""
    return output.logits if "logits" in output else output.last_hidden_state


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("make", "impl"), FAMILIES)
@torch.no_grad()
def test_a_family(make: Callable[[str], Any], impl: str, padded: bool) -> None:
    model = randomised(make(impl))
    tokens = torch.randint(VOCAB, TOKENS)
    mask = torch.ones(TOKENS, dtype=torch.long)
    if padded:
        mask[1, 7:] = 0
    before = first(model(tokens, attention_mask=mask))
    with observe(model) as seen:
        after = model(tokens, attention_mask=mask, output_hidden_states=True)
    assert torch.equal(before, first(after))

    model.set_attn_implementation("eager")
    reported = model(tokens, attention_mask=mask, output_attentions=True).attentions
    assert len(seen.attention) == len(reported) == 3
    for view, weights in zip(seen.attention, reported, strict=True):
        found = torch.cat([a for _, a in weights_by_block(view, 4)], dim=2)
        torch.testing.assert_close(found, weights, atol=1e-5, rtol=1e-4)
        entropy = torch.cat([attention_entropy(a) for _, a in weights_by_block(view)], dim=-1)
        torch.testing.assert_close(entropy, attention_entropy(weights), atol=1e-5, rtol=1e-4)
        lengths = mask.sum(dim=1)
        expected = torch.stack(
            [entropy[b, :, :n].sum(dim=-1) for b, n in enumerate(lengths.tolist())]
        )
        summary = summarise(view, lengths)
        torch.testing.assert_close(summary.entropy, expected.sum(dim=0) / lengths.sum())
        assert float(summary.normalised_entropy.max()) <= 1 + 1e-5
    for ours, theirs in zip(seen.hidden[:-1], after.hidden_states[:-1], strict=True):
        assert torch.equal(ours, theirs)


def encoder_decoder() -> Any:
    config = transformers.T5Config(
        vocab_size=VOCAB, d_model=32, d_kv=8, d_ff=64, num_layers=3, num_decoder_layers=2,
        num_heads=4, decoder_start_token_id=0,
    )  # fmt: skip
    return randomised(transformers.T5ForConditionalGeneration(config))


@torch.no_grad()
def test_an_encoder_decoder_is_observed_one_stack_at_a_time() -> None:
    model = encoder_decoder()
    tokens, answer = torch.randint(VOCAB, (2, 11)), torch.randint(VOCAB, (2, 5))
    with observe(model.encoder) as below, observe(model.decoder) as above:
        model(tokens, decoder_input_ids=answer)
    model.set_attn_implementation("eager")
    reported = model(tokens, decoder_input_ids=answer, output_attentions=True)
    for seen, attentions in (
        (below, reported.encoder_attentions),
        (above, reported.decoder_attentions),
    ):
        assert len(seen.hidden) == len(attentions) + 1
        for view, weights in zip(seen.attention, attentions, strict=True):
            ((_, found),) = weights_by_block(view)
            torch.testing.assert_close(found, weights, atol=1e-5, rtol=1e-4)


def test_an_encoder_decoder_as_a_whole_is_refused() -> None:
    with pytest.raises(ValueError, match=r"several stacks .*observe one of them, model\.encoder"):
        observe(encoder_decoder()).__enter__()


@pytest.mark.parametrize("make", [llama, gpt2])
def test_gradients_stay_the_same(make: Callable[[str], Any]) -> None:
    model = randomised(make("sdpa")).train()
    tokens = torch.randint(VOCAB, TOKENS)

    def gradients() -> list[Tensor]:
        model.zero_grad()
        torch.manual_seed(1)
        model(tokens, labels=tokens).loss.backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    before = gradients()
    with observe(model):
        after = gradients()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
