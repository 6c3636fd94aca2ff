"""Hugging Face's encoder-decoders as ours: the same weights, in our places."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
)

from lightning_posenc import Dims, Encoder
from lightning_posenc.model import MLP, Attention, CrossReading, Decoder, EncoderDecoder, Plain
from lightning_posenc.positional import LearnedAbsolute, T5Bias

V, D, H, L, F = 23, 32, 4, 2, 48


class InTwo(NamedTuple):
    """Theirs and ours, with logits (B, T, V) of sources (B, S), targets (B, T), lengths (B,)."""

    theirs: nn.Module
    ours: EncoderDecoder
    logits: Callable[[Tensor, Tensor, Tensor], Tensor]


def t5() -> InTwo:
    """Norms before, buckets of distance in both stacks and none across, no scale of logits."""
    config = T5Config(
        vocab_size=V, d_model=D, d_kv=D // H, num_heads=H, num_layers=L, d_ff=F,
        relative_attention_num_buckets=8, relative_attention_max_distance=16,
        feed_forward_proj="relu", dropout_rate=0.0,
    )  # fmt: skip
    theirs = drawn(T5ForConditionalGeneration(config))
    bias = partial(T5Bias, n_buckets=8, max_distance=16)
    attention = partial(Attention, bias=False)
    wiring: dict[str, Any] = {
        "mixer": attention,
        "feed_forward": partial(MLP, d_ff=F, activation=nn.ReLU, bias=False),
        "norm": partial(nn.RMSNorm, eps=1e-6),
    }
    ours = sides(bias, wiring, attention)
    weights = theirs.state_dict()
    for side in ("encoder", "decoder"):
        stack: Any = getattr(ours, side)
        for n, block in enumerate(stack.blocks):
            at = f"{side}.block.{n}.layer"
            branches = [(f"{at}.0.SelfAttention", block.attention, block.norm_attention)]
            if side == "decoder":
                across = block.cross_attention, block.norm_cross_attention
                branches.append((f"{at}.1.EncDecAttention", *across))
            for number, (name, mixer, norm) in enumerate(branches):
                q, k, v = (weights[f"{name}.{each}.weight"] for each in "qkv")
                copy(mixer.qkv.weight, torch.cat([q * (D // H) ** 0.5, k, v]))
                copy(mixer.out.weight, weights[f"{name}.o.weight"])
                copy(norm.weight, weights[f"{at}.{number}.layer_norm.weight"])
            last = f"{at}.{len(branches)}"
            copy(block.feed_forward.up.weight, weights[f"{last}.DenseReluDense.wi.weight"])
            copy(block.feed_forward.out.weight, weights[f"{last}.DenseReluDense.wo.weight"])
            copy(block.norm_feed_forward.weight, weights[f"{last}.layer_norm.weight"])
        name = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        copy(stack.positional.table, weights[name].t().unsqueeze(0))
        copy(stack.norm.weight, weights[f"{side}.final_layer_norm.weight"])

    def logits(source: Tensor, target: Tensor, lengths: Tensor) -> Tensor:
        table = weights["shared.weight"]
        states = ours(table[source], table[target], lengths)
        scale = D**-0.5 if config.tie_word_embeddings else 1.0
        return states * scale @ weights["lm_head.weight"].t()

    return InTwo(theirs, ours, logits)


def bart() -> InTwo:
    """Norms after, learned positions and a norm behind the embeddings, biases everywhere."""
    config = BartConfig(
        vocab_size=V, d_model=D, encoder_layers=L, decoder_layers=L, encoder_ffn_dim=F,
        decoder_ffn_dim=F, encoder_attention_heads=H, decoder_attention_heads=H, dropout=0.0,
        max_position_embeddings=16, scale_embedding=True,
    )  # fmt: skip
    theirs = drawn(BartForConditionalGeneration(config))
    wiring: dict[str, Any] = {
        "mixer": Attention,
        "feed_forward": partial(MLP, d_ff=F),
        "residual": partial(Plain, pre_norm=False, embedding_norm=True),
    }
    ours = sides(partial(LearnedAbsolute, max_length=16), wiring, Attention)
    weights = theirs.state_dict()

    def both(ours: Any, name: str) -> None:
        copy(ours.weight, weights[f"{name}.weight"])
        copy(ours.bias, weights[f"{name}.bias"])

    for side in ("encoder", "decoder"):
        stack: Any = getattr(ours, side)
        for n, block in enumerate(stack.blocks):
            at = f"model.{side}.layers.{n}"
            branches = [("self_attn", block.attention, block.norm_attention)]
            if side == "decoder":
                across = block.cross_attention, block.norm_cross_attention
                branches.append(("encoder_attn", *across))
            for name, mixer, norm in branches:
                for kind in ("weight", "bias"):
                    parts = [weights[f"{at}.{name}.{each}_proj.{kind}"] for each in "qkv"]
                    copy(getattr(mixer.qkv, kind), torch.cat(parts))
                both(mixer.out, f"{at}.{name}.out_proj")
                both(norm, f"{at}.{name}_layer_norm")
            both(block.feed_forward.up, f"{at}.fc1")
            both(block.feed_forward.out, f"{at}.fc2")
            both(block.norm_feed_forward, f"{at}.final_layer_norm")
        copy(stack.positional.table, weights[f"model.{side}.embed_positions.weight"][2:])
        both(stack.embedding_norm, f"model.{side}.layernorm_embedding")

    def logits(source: Tensor, target: Tensor, lengths: Tensor) -> Tensor:
        table = weights["model.shared.weight"]
        states = ours(table[source] * D**0.5, table[target] * D**0.5, lengths)
        return states @ table.t() + weights["final_logits_bias"]

    return InTwo(theirs, ours, logits)


def sides(positional: Any, wiring: dict[str, Any], across: Any) -> EncoderDecoder:
    encoder = Encoder(Dims(D, H, L), positional, **wiring)
    cross = partial(CrossReading, mixer=across)
    decoder = Decoder(Dims(D, H, L, causal=True), positional, cross=cross, **wiring)
    return EncoderDecoder(encoder, decoder).eval()


def drawn(theirs: Any) -> Any:
    """With every weight away from where it starts: biases are 0 there, and norms 1."""
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return theirs.eval()


@torch.no_grad()
def copy(into: Tensor, weight: Tensor) -> None:
    assert into.shape == weight.shape
    into.copy_(weight)
