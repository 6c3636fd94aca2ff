"""BERT, and those that count positions from elsewhere: RoBERTa, XLM-RoBERTa, CamemBERT."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from torch import Size, Tensor, nn

from lightning_posenc.model import MLP, Attention, EncoderSpec, Plain, TokenEmbedding
from lightning_posenc.modules import HeadTransform, LanguageModel, SequenceClassifier
from lightning_posenc.modules.heads import HEAD_STD
from lightning_posenc.positional import LearnedAbsolute
from lightning_posenc.pretrained.conversion.activations import activation_of, name_of
from lightning_posenc.pretrained.conversion.family import Family, demand
from lightning_posenc.pretrained.conversion.heads import (
    Head,
    classes,
    each_token,
    has_transform,
    pools,
)
from lightning_posenc.pretrained.conversion.rows import STACKED, Form, Pairing, for_tokens
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
    holds,
    inputs_are,
    is_made_of,
    is_value,
    norms_are,
    pre_norm,
)

_NEVER = -1e4  # score of a token that a model of ours does not know, such as padding
_LAYER = "encoder.layer.{l}"


def _hidden(config: Any) -> dict[str, Any]:
    demand(config, tie_word_embeddings=True)
    is_bert = config.model_type == "bert"  # the others have GELU, whatever the config says
    norm = partial(nn.LayerNorm, eps=config.layer_norm_eps)
    activation = activation_of(config.hidden_act if is_bert else "gelu")
    return {
        "vocab_size": config.vocab_size,
        "objective": "masked",
        "head_bias": True,
        "transform": partial(HeadTransform, activation=activation, norm=norm),
    }


def _first(config: Any) -> dict[str, Any]:
    pooler = partial(HeadTransform, activation=nn.Tanh)
    return {**classes(config), "pooling": "first", "transform": pooler}


HIDDEN_TOKENS = Head(
    LanguageModel,
    (
        Pairing("transform.dense", "cls.predictions.transform.dense"),
        Pairing("transform.norm", "cls.predictions.transform.LayerNorm"),
        Pairing("head_bias", "cls.predictions", for_tokens(fill=_NEVER)),
        Pairing("transform.dense", "lm_head.dense"),
        Pairing("transform.norm", "lm_head.layer_norm"),
        Pairing("head_bias", "lm_head", for_tokens(fill=_NEVER)),
    ),
    _hidden,
    (
        is_value("tie_weights", lambda w: w.is_tied, True),
        has_transform(HeadTransform),
        is_made_of("transform.norm", lambda w: w.transform.norm, nn.LayerNorm),
        holds(
            lambda w: w.transform.norm.eps == w.eps,
            "transform.norm.eps: set that of encoder.norm",
        ),
        holds(
            lambda w: name_of(w.transform.activation) == w.activation,
            "transform.activation: set that of encoder.feed_forward",
        ),
    ),
    "masked",
)
"""Scores of hidden tokens, of states that go through one more layer."""

FIRST_TOKEN = Head(
    SequenceClassifier,
    (
        Pairing("transform.dense", "bert.pooler.dense"),
        Pairing("head", "classifier"),
        Pairing("transform.dense", "classifier.dense"),
        Pairing("head", "classifier.out_proj"),
    ),
    _first,
    (
        pools("first"),
        has_transform(HeadTransform),
        is_made_of("transform.norm", lambda w: w.transform.norm, nn.Identity),
        is_made_of("transform.activation", lambda w: w.transform.activation, nn.Tanh),
    ),
)
"""Classes by the first token's state, which goes through one more layer."""


class BERT(Family):
    """Post-norm with a learned table of positions and a norm of the embedding, in both directions.

    Of the two token types ours know the first: its vector is part of every position's.

    Source: Devlin et al. 2019, arXiv:1810.04805, section 3.
    """

    name = "BERT"
    reads = ("bert", "roberta", "xlm-roberta", "camembert")
    heads: ClassVar[Mapping[str, Head]] = {
        "ForMaskedLM": HIDDEN_TOKENS,
        "ForTokenClassification": each_token("classifier"),
        "ForSequenceClassification": FIRST_TOKEN,
    }
    checks = (
        *IN_ALL, NOT_PARALLEL, pre_norm(False), embedding_norm(True), causal(False), COUNTS,
        inputs_are(TokenEmbedding), encodings_are(LearnedAbsolute), AT_THE_START,
        norms_are(nn.LayerNorm), feed_forwards_are(MLP), has_activation(), ONE_GROUP, NO_QK_NORM,
        UNMASKED,
    )  # fmt: skip
    unread = ("pooler",)
    last_norm = "transform.norm"

    def rows(self, config: Any) -> list[Pairing]:
        mask = getattr(config, "mask_token_id", None)
        tables = (
            "embeddings.position_embeddings.weight",
            "embeddings.token_type_embeddings.weight",
        )
        return [
            Pairing("embedding", "embeddings.word_embeddings", for_tokens(mask)),
            Pairing("encoder.positional.table", tables, _positions(_offset(config))),
            Pairing("encoder.embedding_norm", "embeddings.LayerNorm"),
            Pairing(
                "encoder.blocks.{l}.attention.qkv",
                tuple(f"{_LAYER}.attention.self.{each}" for each in ("query", "key", "value")),
                STACKED,
            ),
            Pairing("encoder.blocks.{l}.attention.out", f"{_LAYER}.attention.output.dense"),
            Pairing("encoder.blocks.{l}.norm_attention", f"{_LAYER}.attention.output.LayerNorm"),
            Pairing("encoder.blocks.{l}.feed_forward.up", f"{_LAYER}.intermediate.dense"),
            Pairing("encoder.blocks.{l}.feed_forward.out", f"{_LAYER}.output.dense"),
            Pairing("encoder.blocks.{l}.norm_feed_forward", f"{_LAYER}.output.LayerNorm"),
        ]

    def arguments(self, config: Any) -> dict[str, Any]:
        demand(
            config, is_decoder=False, add_cross_attention=False, position_embedding_type="absolute"
        )
        spec = EncoderSpec(
            config.hidden_size,
            config.num_attention_heads,
            config.num_hidden_layers,
            embed_std=HEAD_STD,
            mixer=partial(Attention, dropout=config.attention_probs_dropout_prob),
            feed_forward=partial(
                MLP, d_ff=config.intermediate_size, activation=activation_of(config.hidden_act)
            ),
            norm=partial(nn.LayerNorm, eps=config.layer_norm_eps),
            residual=partial(Plain, pre_norm=False, embedding_norm=True),
            dropout=config.hidden_dropout_prob,
        )
        n_rows = config.max_position_embeddings - _offset(config)
        table = partial(LearnedAbsolute, max_length=n_rows)
        return {"encoder": spec, "positional": table, "causal": False}

    def config(self, wiring: Wiring) -> dict[str, Any]:
        dims = wiring.encoder.dims
        return {
            "model_type": "bert",
            "hidden_size": dims.d_model,
            "num_attention_heads": dims.n_heads,
            "num_hidden_layers": dims.n_layers,
            "intermediate_size": wiring.d_ff,
            "hidden_act": wiring.activation,
            "layer_norm_eps": wiring.eps,
            "max_position_embeddings": wiring.positional.max_length,
            "hidden_dropout_prob": wiring.dropout,
            "attention_probs_dropout_prob": wiring.attention_dropout,
        }


def _offset(config: Any) -> int:
    """Rows of the table before that of the first token."""
    return 0 if config.model_type == "bert" else config.pad_token_id + 1


def _positions(offset: int) -> Form:
    """A table whose first rows nobody reads, beside one of token types."""

    def ours(parts: Sequence[Tensor], _: Sequence[Size]) -> list[Tensor]:
        table, types = parts
        return [table[offset:] + types[0]]

    def theirs(parts: Sequence[Tensor], shapes: Sequence[Size]) -> list[Tensor]:
        table, types = (parts[0].new_zeros(shape) for shape in shapes)
        table[offset:] = parts[0]
        return [table, types]

    return Form(ours, theirs)
