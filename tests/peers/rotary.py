"""Encodings that turn queries and keys, beside others' code."""

import warnings
from collections.abc import Iterator

import PoPE_pytorch as pope_pytorch
import torch
from rotary_embedding_torch import RotaryEmbedding, apply_rotary_emb
from torch import Tensor
from transformers import GPTNeoXConfig, LlamaConfig
from transformers.models.gpt_neox import modeling_gpt_neox
from transformers.models.llama import modeling_llama
from transformers.models.mistral_large4 import modeling_mistral_large4
from transformers.models.mistral_large4.configuration_mistral_large4 import MistralLarge4TextConfig
from transformers.models.qwen2_vl import modeling_qwen2_vl
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLTextConfig
from transformers.models.qwen3_vl import modeling_qwen3_vl
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLTextConfig

from lightning_posenc.positional import (
    AxialRoPE,
    LearnedRoPE,
    MRoPE,
    PartialRoPE,
    PoPE,
    PositionalEncoding,
    PRoPE,
    RoPE,
    XPos,
)
from tests.peers.base import POSITIONS, B, D, H, K, T, dims, heads, peer, turned

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


def logits(encoding: PositionalEncoding, q: Tensor, k: Tensor, positions: Tensor) -> Tensor:
    """Products of queries and keys as the encoding transforms them."""
    ours = turned(encoding, q, k, positions)
    return ours[0] @ ours[1].mT


@peer("PartialRoPE", "transformers GPTNeoXRotaryEmbedding")
def partial_rope() -> Iterator[tuple[Tensor, Tensor]]:
    q, k = heads()
    config = GPTNeoXConfig(
        hidden_size=D,
        num_attention_heads=H,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.5},
    )
    cos, sin = modeling_gpt_neox.GPTNeoXRotaryEmbedding(config)(q, POSITIONS)
    theirs = modeling_gpt_neox.apply_rotary_pos_emb(q, k, cos, sin)
    ours = turned(PartialRoPE(dims(), fraction=0.5, base=500.0), q, k)
    yield from zip(ours, theirs, strict=True)


@peer("PRoPE", "transformers LlamaRotaryEmbedding (proportional)")
def p_rope() -> Iterator[tuple[Tensor, Tensor]]:
    q, k = heads()
    config = LlamaConfig(
        hidden_size=D,
        num_attention_heads=H,
        rope_parameters={
            "rope_type": "proportional",
            "rope_theta": 500.0,
            "partial_rotary_factor": 0.5,
        },
    )
    cos, sin = modeling_llama.LlamaRotaryEmbedding(config)(q, POSITIONS)
    theirs = modeling_llama.apply_rotary_pos_emb(q, k, cos, sin)
    yield from zip(turned(PRoPE(dims(), fraction=0.5, base=500.0), q, k), theirs, strict=True)


@peer("LearnedRoPE", "rotary-embedding-torch RotaryEmbedding (learned_freq)")
def learned_rope() -> Iterator[tuple[Tensor, Tensor]]:
    q, k = heads()
    theirs = RotaryEmbedding(K, theta=500, learned_freq=True)
    encoding = LearnedRoPE(dims(), base=500.0, layout="interleaved")
    yield encoding.inv_freq[0, 0], theirs.freqs
    theirs.freqs.data.uniform_()
    encoding.inv_freq.data[:] = theirs.freqs.data
    ours = turned(encoding, q, k)
    yield ours[0], theirs.rotate_queries_or_keys(q)
    yield ours[1], theirs.rotate_queries_or_keys(k)


@peer("XPos", "x-transformers RotaryEmbedding (use_xpos)")
def xpos() -> Iterator[tuple[Tensor, Tensor]]:
    """Both centre positions, at half a position's difference: the products are the same."""
    for scale_base in (512, 16):
        q, k = heads()
        peer = x_transformers.RotaryEmbedding(K, use_xpos=True, scale_base=scale_base)
        angles, scale = peer(torch.arange(T))
        their_q = x_transformers.apply_rotary_pos_emb(q, angles, scale)
        their_k = x_transformers.apply_rotary_pos_emb(k, angles, scale**-1)
        encoding = XPos(dims(causal=True), scale_base=scale_base, layout="interleaved")
        seen = torch.ones(T, T).tril()
        yield logits(encoding, q, k, POSITIONS) * seen, their_q @ their_k.mT * seen


@peer("AxialRoPE", "rotary-embedding-torch get_axial_freqs")
def axial_rope() -> Iterator[tuple[Tensor, Tensor]]:
    """A grid of 4 rows, 10 columns."""
    q, k = heads()
    theirs = RotaryEmbedding(K // 2, theta=500)
    angles = theirs.get_axial_freqs(4, 10).flatten(0, 1)
    positions = torch.cartesian_prod(torch.arange(4), torch.arange(10)).unsqueeze(0)
    encoding = AxialRoPE(dims(), base=500.0, layout="interleaved")
    ours = turned(encoding, q, k, positions)
    yield ours[0], apply_rotary_emb(angles, q)
    yield ours[1], apply_rotary_emb(angles, k)


@peer("MRoPE", "transformers Qwen2VLRotaryEmbedding")
def m_rope() -> Iterator[tuple[Tensor, Tensor]]:
    q, k = heads()
    config = Qwen2VLTextConfig(
        hidden_size=D,
        num_attention_heads=H,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0, "mrope_section": [2, 1, 1]},
    )
    positions = torch.randint(0, 50, (B, T, 3))
    encoding = MRoPE(dims(), base=500.0)
    for places in (positions, positions[..., 0]):
        on_axes = places.movedim(-1, 0) if places.dim() == 3 else places.expand(3, -1, -1)
        cos, sin = modeling_qwen2_vl.Qwen2VLRotaryEmbedding(config)(q, on_axes)
        theirs = modeling_qwen2_vl.apply_rotary_pos_emb(q, k, cos, sin)
        yield from zip(turned(encoding, q, k, places), theirs, strict=True)


@peer("MRoPE", "transformers Qwen3VLTextRotaryEmbedding")
def m_rope_interleaved() -> Iterator[tuple[Tensor, Tensor]]:
    q, k = heads()
    positions = torch.randint(0, 50, (B, T, 3))
    for sections in ([2, 1, 1], [3, 1, 0], [4, 0, 0]):
        parameters = {"rope_type": "default", "rope_theta": 500.0, "mrope_section": sections}
        config = Qwen3VLTextConfig(
            hidden_size=D, num_attention_heads=H, head_dim=K, rope_parameters=parameters
        )
        theirs = modeling_qwen3_vl.Qwen3VLTextRotaryEmbedding(config)
        cos, sin = theirs(q, positions.movedim(-1, 0))
        encoding = MRoPE(dims(), sections, base=500.0, interleaved=True)
        both = modeling_llama.apply_rotary_pos_emb(q, k, cos, sin)
        yield from zip(turned(encoding, q, k, positions), both, strict=True)


@peer("LearnedRoPE", "transformers MistralLarge4TextRotaryEmbedding (alpha)")
def lerope() -> Iterator[tuple[Tensor, Tensor]]:
    q, k = heads()
    config = MistralLarge4TextConfig(
        hidden_size=D,
        num_attention_heads=H,
        head_dim=K,
        qk_rope_head_dim=K,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
    )
    theirs = modeling_mistral_large4.MistralLarge4TextRotaryEmbedding(config)
    encoding = LearnedRoPE(dims(), base=500.0, logarithmic=True)
    with torch.no_grad():
        torch.nn.init.normal_(encoding.alpha)
        theirs.alpha.copy_(encoding.alpha[0, 0])
    cos, sin = theirs(q, POSITIONS)
    both = modeling_llama.apply_rotary_pos_emb(q, k, cos, sin)
    yield from zip(turned(encoding, q, k), both, strict=True)


@peer("PoPE", "PoPE-pytorch PoPE")
def pope() -> Iterator[tuple[Tensor, Tensor]]:
    """The peer has the bias on the keys."""
    q, k = heads()
    theirs = pope_pytorch.PoPE(K, heads=H, theta=500)
    theirs.bias.data.uniform_(-6, 0)
    encoding = PoPE(dims(), base=500.0)
    encoding.phase.data[0] = theirs.bias.data
    their_q, their_k = theirs.apply_pope_to_qk(theirs(T), q, k)
    yield logits(encoding, q, k, POSITIONS), their_q @ their_k.mT
