"""GPT-NeoX (Pythia): what our default wiring with RoPE is, where it is causal."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from torch import nn

from lightning_posenc.model import MLP, Attention, EncoderSpec, Plain, TokenEmbedding
from lightning_posenc.modules.heads import HEAD_STD
from lightning_posenc.positional import NoPE, PartialRoPE, PRoPE, RoPE
from lightning_posenc.pretrained.conversion.activations import activation_of
from lightning_posenc.pretrained.conversion.family import Family
from lightning_posenc.pretrained.conversion.heads import NEXT_TOKEN, Head, each_token, last_token
from lightning_posenc.pretrained.conversion.rotary import encoding_of, longest, spelled
from lightning_posenc.pretrained.conversion.rows import Pairing, by_head, for_tokens
from lightning_posenc.pretrained.conversion.wiring import (
    COUNTS,
    IN_ALL,
    NO_QK_NORM,
    ONE_GROUP,
    UNMASKED,
    Wiring,
    causal,
    embedding_norm,
    encodings_are,
    feed_forwards_are,
    has_activation,
    inputs_are,
    norms_are,
    pre_norm,
)

_LAYER = "layers.{l}"


class GPTNeoX(Family):
    """Pre-norm with RoPE on a part of the channels; layer norms and an MLP, in parallel or not.

    Source: Black et al. 2022, arXiv:2204.06745, section 2.1.
    """

    name = "GPT-NeoX"
    reads = ("gpt_neox",)
    heads: ClassVar[Mapping[str, Head]] = {
        "ForCausalLM": NEXT_TOKEN,
        "ForTokenClassification": each_token("classifier"),
        "ForSequenceClassification": last_token("score"),
    }
    checks = (
        *IN_ALL, pre_norm(True), embedding_norm(False), causal(True), COUNTS,
        inputs_are(TokenEmbedding), encodings_are(RoPE, PartialRoPE, PRoPE, NoPE),
        norms_are(nn.LayerNorm), feed_forwards_are(MLP), has_activation(), ONE_GROUP, NO_QK_NORM,
        UNMASKED,
    )  # fmt: skip
    unread = ("rotary_emb",)

    def rows(self, config: Any) -> list[Pairing]:
        fused = by_head(config.num_attention_heads)
        return [
            Pairing("embedding", "embed_in", for_tokens()),
            Pairing(
                "encoder.blocks.{l}.attention.qkv", f"{_LAYER}.attention.query_key_value", fused
            ),
            Pairing("encoder.blocks.{l}.attention.out", f"{_LAYER}.attention.dense"),
            Pairing("encoder.blocks.{l}.feed_forward.up", f"{_LAYER}.mlp.dense_h_to_4h"),
            Pairing("encoder.blocks.{l}.feed_forward.out", f"{_LAYER}.mlp.dense_4h_to_h"),
            Pairing("encoder.blocks.{l}.norm_attention", f"{_LAYER}.input_layernorm"),
            Pairing("encoder.blocks.{l}.norm_feed_forward", f"{_LAYER}.post_attention_layernorm"),
            Pairing("encoder.norm", "final_layer_norm"),
        ]

    def arguments(self, config: Any) -> dict[str, Any]:
        spec = EncoderSpec(
            config.hidden_size,
            config.num_attention_heads,
            config.num_hidden_layers,
            embed_std=HEAD_STD,
            mixer=partial(Attention, bias=config.attention_bias, dropout=config.attention_dropout),
            feed_forward=partial(
                MLP, d_ff=config.intermediate_size, activation=activation_of(config.hidden_act)
            ),
            norm=partial(nn.LayerNorm, eps=config.layer_norm_eps),
            residual=partial(Plain, parallel=config.use_parallel_residual),
            dropout=config.hidden_dropout,
        )
        d_head = config.hidden_size // config.num_attention_heads
        return {"encoder": spec, "positional": encoding_of(config, d_head), "causal": True}

    def config(self, wiring: Wiring) -> dict[str, Any]:
        dims = wiring.encoder.dims
        rope = {"partial_rotary_factor": 1.0, **spelled(wiring.positional)}
        return {
            "model_type": "gpt_neox",
            "hidden_size": dims.d_model,
            "num_attention_heads": dims.n_heads,
            "num_hidden_layers": dims.n_layers,
            "intermediate_size": wiring.d_ff,
            "hidden_act": wiring.activation,
            "layer_norm_eps": wiring.eps,
            "rope_parameters": rope,
            "max_position_embeddings": longest(wiring.positional, wiring.trained_length),
            "use_parallel_residual": wiring.is_parallel,
            "attention_bias": wiring.has_attention_bias,
            "attention_dropout": wiring.attention_dropout,
            "hidden_dropout": wiring.dropout,
            "tie_word_embeddings": wiring.is_tied,
        }
