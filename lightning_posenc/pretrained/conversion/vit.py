"""ViT, and DeiT with its second class token."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Size, Tensor, nn

from lightning_posenc.model import MLP, Attention, EncoderSpec, Patches
from lightning_posenc.modules.heads import HEAD_STD
from lightning_posenc.positional import LearnedGrid
from lightning_posenc.pretrained.conversion.activations import activation_of
from lightning_posenc.pretrained.conversion.family import Family
from lightning_posenc.pretrained.conversion.heads import Head, first_token
from lightning_posenc.pretrained.conversion.rows import STACKED, Form, Pairing
from lightning_posenc.pretrained.conversion.wiring import (
    AT_THE_START,
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
    norms_are,
    pre_norm,
)

_LAYER = "layers.{l}"
_KINDS = {1: "vit", 2: "deit"}  # by class tokens


class ViT(Family):
    """Pre-norm on patches with a learned grid of positions; layer norms and an MLP.

    Class tokens have positions of their own there; ours have them in their own vectors.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929, section 3.1; DeiT: Touvron et al. 2021,
    arXiv:2012.12877, section 3.
    """

    name = "ViT"
    reads = tuple(_KINDS.values())
    heads: ClassVar[Mapping[str, Head]] = {"ForImageClassification": first_token("classifier")}
    checks = (
        inputs_are(Patches), *IN_ALL, NOT_PARALLEL, pre_norm(True), embedding_norm(False),
        causal(False), encodings_are(LearnedGrid), AT_THE_START,
        holds(lambda w: w.module.placed_by_inputs, "positions: leave it out"),
        holds(lambda w: w.inputs.n_class_tokens in _KINDS,
              "inputs.n_class_tokens: set 1 (ViT) or 2 (DeiT)"),
        norms_are(nn.LayerNorm), feed_forwards_are(MLP), has_activation(), ONE_GROUP, NO_QK_NORM,
        UNMASKED,
    )  # fmt: skip
    unread = ("pooler", "mask_token")

    def rows(self, config: Any) -> list[Pairing]:
        tokens = ("embeddings.cls_token", "embeddings.distillation_token")[: _n_tokens(config)]
        return [
            Pairing("embedding.project", "embeddings.patch_embeddings.projection"),
            Pairing(
                ("embedding.class_tokens", "encoder.positional.table"),
                ("embeddings.position_embeddings", *tokens),
                _places(config),
            ),
            Pairing(
                "encoder.blocks.{l}.attention.qkv",
                tuple(f"{_LAYER}.attention.{each}_proj" for each in "qkv"),
                STACKED,
            ),
            Pairing("encoder.blocks.{l}.attention.out", f"{_LAYER}.attention.o_proj"),
            Pairing("encoder.blocks.{l}.feed_forward.up", f"{_LAYER}.mlp.fc1"),
            Pairing("encoder.blocks.{l}.feed_forward.out", f"{_LAYER}.mlp.fc2"),
            Pairing("encoder.blocks.{l}.norm_attention", f"{_LAYER}.layernorm_before"),
            Pairing("encoder.blocks.{l}.norm_feed_forward", f"{_LAYER}.layernorm_after"),
            Pairing("encoder.norm", "layernorm"),
        ]

    def arguments(self, config: Any) -> dict[str, Any]:
        height, width = _grid(config)
        spec = EncoderSpec(
            config.hidden_size,
            config.num_attention_heads,
            config.num_hidden_layers,
            embed_std=HEAD_STD,
            mixer=partial(
                Attention,
                bias=config.qkv_bias,
                out_bias=True,
                dropout=config.attention_probs_dropout_prob,
            ),
            feed_forward=partial(
                MLP, d_ff=config.intermediate_size, activation=activation_of(config.hidden_act)
            ),
            norm=partial(nn.LayerNorm, eps=config.layer_norm_eps),
            dropout=config.hidden_dropout_prob,
        )
        return {
            "encoder": spec,
            "inputs": partial(
                Patches,
                patch_size=_sides(config.patch_size),
                n_channels=config.num_channels,
                n_class_tokens=_n_tokens(config),
            ),
            "positional": partial(LearnedGrid, height=height, width=width),
            "causal": False,
        }

    def config(self, wiring: Wiring) -> dict[str, Any]:
        dims, grid, patches = wiring.encoder.dims, wiring.positional, wiring.inputs
        down, across = patches.patch_size
        image = (grid.height * down, grid.width * across)
        return {
            "model_type": _KINDS[patches.n_class_tokens],
            "hidden_size": dims.d_model,
            "num_attention_heads": dims.n_heads,
            "num_hidden_layers": dims.n_layers,
            "intermediate_size": wiring.d_ff,
            "hidden_act": wiring.activation,
            "layer_norm_eps": wiring.eps,
            "hidden_dropout_prob": wiring.dropout,
            "attention_probs_dropout_prob": wiring.attention_dropout,
            "num_channels": patches.n_channels,
            "image_size": image[0] if image[0] == image[1] else list(image),
            "patch_size": down if down == across else [down, across],
            "qkv_bias": wiring.attention.qkv.bias is not None,
        }


def _places(config: Any) -> Form:
    """One table of positions there, class tokens' first; here a grid, those in the tokens."""

    def ours(parts: Sequence[Tensor], _: Sequence[Size]) -> list[Tensor]:
        (positions,), tokens = parts[0], torch.cat([each[0] for each in parts[1:]])
        n = len(tokens)
        return [tokens + positions[:n], positions[n:].unflatten(0, _grid(config))]

    def theirs(parts: Sequence[Tensor], _: Sequence[Size]) -> list[Tensor]:
        tokens, table = parts
        positions = torch.cat((torch.zeros_like(tokens), table.flatten(0, 1)))
        return [positions[None], *(each[None, None] for each in tokens)]

    return Form(ours, theirs)


def _grid(config: Any) -> tuple[int, int]:
    """Rows and columns of patches."""
    image, patch = _sides(config.image_size), _sides(config.patch_size)
    return image[0] // patch[0], image[1] // patch[1]


def _n_tokens(config: Any) -> int:
    return next(n for n, kind in _KINDS.items() if kind == config.model_type)


def _sides(size: int | Sequence[int]) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    height, width = size
    return height, width
