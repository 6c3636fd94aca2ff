"""Llama and those that differ from it by options: Mistral, Qwen2, Qwen3, OLMo, StableLM, …"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, NamedTuple

from torch import nn

from lightning_posenc.masks import Window
from lightning_posenc.model import MLP, Attention, EncoderSpec, RMSNorm, SwiGLU, TokenEmbedding
from lightning_posenc.modules.heads import HEAD_STD
from lightning_posenc.positional import NoPE, PerLayer, PRoPE, RoPE
from lightning_posenc.positional.base import Factory
from lightning_posenc.pretrained.conversion.activations import activation_of
from lightning_posenc.pretrained.conversion.family import Family, demand
from lightning_posenc.pretrained.conversion.heads import NEXT_TOKEN, Head, each_token, last_token
from lightning_posenc.pretrained.conversion.rotary import encoding_of, longest, spelled
from lightning_posenc.pretrained.conversion.rows import STACKED, Pairing, for_tokens
from lightning_posenc.pretrained.conversion.wiring import (
    COUNTS,
    IN_ALL,
    NOT_PARALLEL,
    Wiring,
    causal,
    embedding_norm,
    encodings_are,
    feed_forwards_are,
    inputs_are,
    masks_are,
    norms_are,
    pre_norm,
)

_LAYER = "layers.{l}"
_ROWS = [
    Pairing("embedding", "embed_tokens", for_tokens()),
    Pairing("encoder.blocks.{l}.attention.qkv",
        tuple(f"{_LAYER}.self_attn.{each}_proj" for each in "qkv"), STACKED),
    Pairing("encoder.blocks.{l}.attention.qk_norm.q", f"{_LAYER}.self_attn.q_norm"),
    Pairing("encoder.blocks.{l}.attention.qk_norm.k", f"{_LAYER}.self_attn.k_norm"),
    Pairing("encoder.blocks.{l}.attention.out", f"{_LAYER}.self_attn.o_proj"),
    Pairing("encoder.blocks.{l}.feed_forward.gate_and_up",
        (f"{_LAYER}.mlp.gate_proj", f"{_LAYER}.mlp.up_proj"), STACKED),
    Pairing("encoder.blocks.{l}.feed_forward.out", f"{_LAYER}.mlp.down_proj"),
    Pairing("encoder.blocks.{l}.feed_forward.up", f"{_LAYER}.mlp.c_fc"),
    Pairing("encoder.blocks.{l}.feed_forward.out", f"{_LAYER}.mlp.c_proj"),
    Pairing("encoder.blocks.{l}.norm_attention", f"{_LAYER}.input_layernorm"),
    Pairing("encoder.blocks.{l}.norm_feed_forward", f"{_LAYER}.post_attention_layernorm"),
    Pairing("encoder.norm", "norm"),
]  # fmt: skip


class _Variant(NamedTuple):
    """What a member of the family says in its own words.

    Args:
        norm: Makes what makes its norms.
        biases: Whether there are biases of queries, keys and values, of the output, of the MLP.
        parallel: Whether mixer and feed-forward read the same stream.
    """

    norm: Callable[[Any], Callable[[int], nn.Module]]
    biases: Callable[[Any], tuple[bool, bool, bool]]
    parallel: Callable[[Any], bool] = lambda config: False


def _rms(config: Any) -> Callable[[int], nn.Module]:
    return partial(RMSNorm, eps=config.rms_norm_eps)


def _all_or_none(config: Any) -> tuple[bool, bool, bool]:
    return config.attention_bias, config.attention_bias, getattr(config, "mlp_bias", False)


_VARIANTS = {
    "llama": _Variant(_rms, _all_or_none),
    "mistral": _Variant(_rms, lambda config: (False, False, False)),
    "qwen2": _Variant(_rms, lambda config: (True, False, False)),
    "qwen3": _Variant(_rms, _all_or_none),
    "smollm3": _Variant(_rms, _all_or_none),
    "olmo": _Variant(
        lambda config: partial(nn.LayerNorm, eps=1e-5, elementwise_affine=False), _all_or_none
    ),
    "stablelm": _Variant(
        lambda config: partial(nn.LayerNorm, eps=config.layer_norm_eps),
        lambda config: (config.use_qkv_bias, False, False),
    ),
    "starcoder2": _Variant(
        lambda config: partial(nn.LayerNorm, eps=config.norm_epsilon),
        lambda config: (config.use_bias, config.use_bias, config.use_bias),
    ),
}


class Llama(Family):
    """Pre-norm with RoPE and grouped queries; RMS norms and SwiGLU, but for a few members.

    Source: Touvron et al. 2023, arXiv:2302.13971, section 2.2.
    """

    name = "Llama"
    reads = tuple(_VARIANTS)
    heads: ClassVar[Mapping[str, Head]] = {
        "ForCausalLM": NEXT_TOKEN,
        "ForTokenClassification": each_token("score"),
        "ForSequenceClassification": last_token("score"),
    }
    checks = (
        *IN_ALL, NOT_PARALLEL, pre_norm(True), embedding_norm(False), causal(True), COUNTS,
        inputs_are(TokenEmbedding), encodings_are(RoPE, PRoPE, NoPE), norms_are(nn.RMSNorm),
        feed_forwards_are(SwiGLU), masks_are(Window),
    )  # fmt: skip
    unread = ("rotary_emb",)

    def rows(self, config: Any) -> list[Pairing]:
        return _ROWS

    def arguments(self, config: Any) -> dict[str, Any]:
        d_head = config.hidden_size // config.num_attention_heads
        demand(
            config, head_dim=d_head, clip_qkv=None, qk_layernorm=False, use_parallel_residual=False,
            use_sliding_window=False, pretraining_tp=1,
        )  # fmt: skip
        variant = _VARIANTS[config.model_type]
        qkv_bias, out_bias, mlp_bias = variant.biases(config)
        norm = variant.norm(config)
        mixer = partial(
            Attention,
            n_kv_heads=config.num_key_value_heads,
            bias=qkv_bias,
            out_bias=out_bias,
            dropout=config.attention_dropout or 0.0,
            qk_norm=norm if config.model_type == "qwen3" else None,
        )
        wiring: dict[str, Any] = {"mixer": mixer, "norm": norm}
        if config.model_type == "starcoder2":
            wiring["feed_forward"] = partial(
                MLP,
                d_ff=config.intermediate_size,
                activation=activation_of(config.hidden_act),
                bias=mlp_bias,
            )
        else:
            demand(config, hidden_act="silu")
            wiring["feed_forward"] = partial(SwiGLU, d_ff=config.intermediate_size, bias=mlp_bias)
        if (size := _window(config)) is not None:
            wiring["mask"] = Window(size)
        spec = EncoderSpec(
            config.hidden_size,
            config.num_attention_heads,
            config.num_hidden_layers,
            embed_std=HEAD_STD,
            dropout=getattr(config, "residual_dropout", getattr(config, "hidden_dropout", 0.0)),
            **wiring,
        )
        return {"encoder": spec, "positional": _encoding(config, d_head), "causal": True}

    def config(self, wiring: Wiring) -> dict[str, Any]:
        dims, attention = wiring.encoder.dims, wiring.attention
        trained = longest(wiring.positional, wiring.trained_length)
        said = {
            "model_type": "llama",
            "hidden_size": dims.d_model,
            "num_attention_heads": dims.n_heads,
            "num_key_value_heads": wiring.n_kv_heads,
            "num_hidden_layers": dims.n_layers,
            "intermediate_size": wiring.d_ff,
            "rms_norm_eps": wiring.eps,
            "rope_parameters": spelled(wiring.positional),
            "max_position_embeddings": trained,
            "attention_bias": wiring.has_attention_bias,
            "mlp_bias": wiring.feed_forward.out.bias is not None,
            "attention_dropout": wiring.attention_dropout,
            "tie_word_embeddings": wiring.is_tied,
        }
        if attention.qk_norm is not None:
            if wiring.window is not None or said.pop("mlp_bias"):
                raise ValueError("encoder.mixer.qk_norm: leave it out, or mask and biases")
            return said | {"model_type": "qwen3", "head_dim": dims.d_head}
        if wiring.window is not None:
            if said.pop("attention_bias") or said.pop("mlp_bias"):
                raise ValueError("encoder.mixer.bias=true with a mask: set bias=false")
            return said | {"model_type": "mistral", "sliding_window": wiring.window}
        return said


def _window(config: Any) -> int | None:
    """How far tokens see, of those members whose every layer has a window."""
    if config.model_type in ("mistral", "starcoder2"):
        return config.sliding_window
    return None


def _encoding(config: Any, d_head: int) -> Factory:
    rotary = encoding_of(config, d_head)
    turns = getattr(config, "no_rope_layers", None)  # 1 where there is RoPE, whatever the name
    if not turns or all(turns):
        return rotary
    return PerLayer.of(*(rotary if each else NoPE for each in turns))
