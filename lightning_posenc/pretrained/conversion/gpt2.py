"""GPT-2."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from torch import nn

from lightning_posenc.model import MLP, Attention, EncoderSpec, TokenEmbedding
from lightning_posenc.modules.heads import HEAD_STD
from lightning_posenc.positional import LearnedAbsolute
from lightning_posenc.pretrained.conversion.activations import activation_of
from lightning_posenc.pretrained.conversion.family import Family, demand
from lightning_posenc.pretrained.conversion.heads import NEXT_TOKEN, Head, each_token, last_token
from lightning_posenc.pretrained.conversion.rows import TRANSPOSED, Pairing, for_tokens
from lightning_posenc.pretrained.conversion.wiring import (
    AT_THE_START,
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
    norms_are,
    pre_norm,
)

_ROWS = [
    Pairing("embedding", "wte", for_tokens()),
    Pairing("encoder.positional.table", "wpe.weight"),
    Pairing("encoder.blocks.{l}.attention.qkv", "h.{l}.attn.c_attn", TRANSPOSED),
    Pairing("encoder.blocks.{l}.attention.out", "h.{l}.attn.c_proj", TRANSPOSED),
    Pairing("encoder.blocks.{l}.feed_forward.up", "h.{l}.mlp.c_fc", TRANSPOSED),
    Pairing("encoder.blocks.{l}.feed_forward.out", "h.{l}.mlp.c_proj", TRANSPOSED),
    Pairing("encoder.blocks.{l}.norm_attention", "h.{l}.ln_1"),
    Pairing("encoder.blocks.{l}.norm_feed_forward", "h.{l}.ln_2"),
    Pairing("encoder.norm", "ln_f"),
]


class GPT2(Family):
    """Pre-norm with a learned table of positions; layer norms and an MLP.

    Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3.
    """

    name = "GPT-2"
    reads = ("gpt2",)
    heads: ClassVar[Mapping[str, Head]] = {
        "LMHeadModel": NEXT_TOKEN,
        "ForTokenClassification": each_token("classifier"),
        "ForSequenceClassification": last_token("score"),
    }
    checks = (
        *IN_ALL, NOT_PARALLEL, pre_norm(True), embedding_norm(False), causal(True), COUNTS,
        inputs_are(TokenEmbedding), encodings_are(LearnedAbsolute), AT_THE_START,
        norms_are(nn.LayerNorm), feed_forwards_are(MLP), has_activation(), ONE_GROUP, NO_QK_NORM,
        UNMASKED,
    )  # fmt: skip

    def rows(self, config: Any) -> list[Pairing]:
        return _ROWS

    def arguments(self, config: Any) -> dict[str, Any]:
        demand(
            config, scale_attn_weights=True, scale_attn_by_inverse_layer_idx=False,
            add_cross_attention=False,
        )  # fmt: skip
        spec = EncoderSpec(
            config.hidden_size,
            config.num_attention_heads,
            config.num_hidden_layers,
            embed_std=HEAD_STD,
            mixer=partial(Attention, dropout=config.attn_pdrop),
            feed_forward=partial(
                MLP, d_ff=config.n_inner, activation=activation_of(config.activation_function)
            ),
            norm=partial(nn.LayerNorm, eps=config.layer_norm_epsilon),
            dropout=config.resid_pdrop,
        )
        table = partial(LearnedAbsolute, max_length=config.n_positions)
        return {"encoder": spec, "positional": table, "causal": True}

    def config(self, wiring: Wiring) -> dict[str, Any]:
        dims = wiring.encoder.dims
        return {
            "model_type": "gpt2",
            "n_embd": dims.d_model,
            "n_head": dims.n_heads,
            "n_layer": dims.n_layers,
            "n_inner": wiring.d_ff,
            "n_positions": wiring.positional.max_length,
            "activation_function": wiring.activation,
            "layer_norm_epsilon": wiring.eps,
            "resid_pdrop": wiring.dropout,
            "embd_pdrop": wiring.dropout,
            "attn_pdrop": wiring.attention_dropout,
            "tie_word_embeddings": wiring.is_tied,
        }
