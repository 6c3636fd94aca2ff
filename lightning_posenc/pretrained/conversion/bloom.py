"""BLOOM."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from torch import nn

from lightning_posenc.model import MLP, Attention, EncoderSpec, Plain, TokenEmbedding
from lightning_posenc.modules.heads import HEAD_STD
from lightning_posenc.positional import ALiBi
from lightning_posenc.pretrained.conversion.activations import activation_of
from lightning_posenc.pretrained.conversion.family import Family, demand
from lightning_posenc.pretrained.conversion.heads import NEXT_TOKEN, Head, each_token, last_token
from lightning_posenc.pretrained.conversion.rows import Pairing, by_head, for_tokens
from lightning_posenc.pretrained.conversion.wiring import (
    COUNTS,
    IN_ALL,
    NO_QK_NORM,
    NOT_PARALLEL,
    ONE_GROUP,
    UNMASKED,
    Wiring,
    causal,
    embedding_norm,
    encodings_are,
    feed_forwards_are,
    has_activation,
    inputs_are,
    is_value,
    norms_are,
    pre_norm,
)

_ACTIVATION = "gelu_pytorch_tanh"  # written out in its code


class BLOOM(Family):
    """Pre-norm with ALiBi and a norm of the embedding; layer norms and an MLP of 4·D.

    Source: Le Scao et al. 2022, arXiv:2211.05100, section 3.2.
    """

    name = "BLOOM"
    reads = ("bloom",)
    heads: ClassVar[Mapping[str, Head]] = {
        "ForCausalLM": NEXT_TOKEN,
        "ForTokenClassification": each_token("classifier"),
        "ForSequenceClassification": last_token("score"),
    }
    checks = (
        *IN_ALL, NOT_PARALLEL, pre_norm(True), embedding_norm(True), causal(True), COUNTS,
        inputs_are(TokenEmbedding), encodings_are(ALiBi),
        is_value("positional.form", lambda w: w.positional.form, "symmetric"),
        norms_are(nn.LayerNorm), feed_forwards_are(MLP), has_activation(_ACTIVATION),
        is_value("encoder.feed_forward.d_ff", lambda w: w.d_ff / w.encoder.dims.d_model, 4),
        ONE_GROUP, NO_QK_NORM, UNMASKED,
    )  # fmt: skip

    def rows(self, config: Any) -> list[Pairing]:
        fused = by_head(config.n_head)
        return [
            Pairing("embedding", "word_embeddings", for_tokens()),
            Pairing("encoder.embedding_norm", "word_embeddings_layernorm"),
            Pairing(
                "encoder.blocks.{l}.attention.qkv", "h.{l}.self_attention.query_key_value", fused
            ),
            Pairing("encoder.blocks.{l}.attention.out", "h.{l}.self_attention.dense"),
            Pairing("encoder.blocks.{l}.feed_forward.up", "h.{l}.mlp.dense_h_to_4h"),
            Pairing("encoder.blocks.{l}.feed_forward.out", "h.{l}.mlp.dense_4h_to_h"),
            Pairing("encoder.blocks.{l}.norm_attention", "h.{l}.input_layernorm"),
            Pairing("encoder.blocks.{l}.norm_feed_forward", "h.{l}.post_attention_layernorm"),
            Pairing("encoder.norm", "ln_f"),
        ]

    def arguments(self, config: Any) -> dict[str, Any]:
        demand(config, apply_residual_connection_post_layernorm=False)
        spec = EncoderSpec(
            config.hidden_size,
            config.n_head,
            config.n_layer,
            embed_std=HEAD_STD,
            mixer=partial(Attention, dropout=config.attention_dropout),
            feed_forward=partial(MLP, activation=activation_of(_ACTIVATION)),
            norm=partial(nn.LayerNorm, eps=config.layer_norm_epsilon),
            residual=partial(Plain, embedding_norm=True),
            dropout=config.hidden_dropout,
        )
        return {"encoder": spec, "positional": ALiBi, "causal": True}

    def config(self, wiring: Wiring) -> dict[str, Any]:
        dims = wiring.encoder.dims
        return {
            "model_type": "bloom",
            "hidden_size": dims.d_model,
            "n_head": dims.n_heads,
            "n_layer": dims.n_layers,
            "layer_norm_epsilon": wiring.eps,
            "hidden_dropout": wiring.dropout,
            "attention_dropout": wiring.attention_dropout,
            "tie_word_embeddings": wiring.is_tied,
        }
