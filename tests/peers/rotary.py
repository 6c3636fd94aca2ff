"""Encodings that turn queries and keys, beside others' code."""

import warnings
from collections.abc import Iterator

import torch
from rotary_embedding_torch import RotaryEmbedding
from torch import Tensor
from transformers import LlamaConfig
from transformers.models.llama import modeling_llama

from lightning_posenc.positional import RoPE
from tests.peers.base import B, D, H, K, T, dims, heads, peer, turned

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # its use of jit
    from x_transformers import x_transformers


@peer("RoPE", "transformers LlamaRotaryEmbedding")
def rope_half() -> Iterator[tuple[Tensor, Tensor]]:
    q, k = heads()
    positions = torch.randint(0, 200, (B, T))
    config = LlamaConfig(
        hidden_size=D,
        num_attention_heads=H,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
    )
    cos, sin = modeling_llama.LlamaRotaryEmbedding(config)(q, positions)
    theirs = modeling_llama.apply_rotary_pos_emb(q, k, cos, sin)
    yield from zip(turned(RoPE(dims(), base=500.0), q, k, positions), theirs, strict=True)


@peer("RoPE", "rotary-embedding-torch RotaryEmbedding")
def rope_interleaved() -> Iterator[tuple[Tensor, Tensor]]:
    q, k = heads()
    theirs = RotaryEmbedding(K, theta=500)
    ours = turned(RoPE(dims(), base=500.0, layout="interleaved"), q, k)
    yield ours[0], theirs.rotate_queries_or_keys(q)
    yield ours[1], theirs.rotate_queries_or_keys(k)


@peer("RoPE", "x-transformers RotaryEmbedding")
def rope_interleaved_x_transformers() -> Iterator[tuple[Tensor, Tensor]]:
    q, k = heads()
    angles, _ = x_transformers.RotaryEmbedding(K)(torch.arange(T))
    ours = turned(RoPE(dims(), layout="interleaved"), q, k)
    yield ours[0], x_transformers.apply_rotary_pos_emb(q, angles)
    yield ours[1], x_transformers.apply_rotary_pos_emb(k, angles)
