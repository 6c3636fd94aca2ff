"""Encodings that add to the logits, beside others' code."""

import warnings
from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import T5Config, VitsConfig, Wav2Vec2BertConfig
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.swin.modeling_swin import SwinRelativePositionBias
from transformers.models.t5.modeling_t5 import T5Attention
from transformers.models.vits.modeling_vits import VitsAttention
from transformers.models.wav2vec2_bert.modeling_wav2vec2_bert import Wav2Vec2BertSelfAttention

from lightning_posenc.masks import Visibility
from lightning_posenc.model.kernels import attention_weights
from lightning_posenc.model.mixers import Attention, Context
from lightning_posenc.positional import ALiBi, LearnedRelativeBias, ShawRelative, T5Bias
from lightning_posenc.positional.bias.alibi import slopes
from lightning_posenc.positional.by_distance import written_out
from lightning_posenc.positions import Places
from tests.helpers import operands, site_of
from tests.peers.base import POSITIONS, B, D, H, K, T, bias, dims, heads, peer

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # its use of jit
    from x_transformers import x_transformers

HEAD_COUNTS = (1, 2, 3, 6, 8, 12, 16)


@peer("ALiBi", "transformers build_alibi_tensor (Bloom)")
def alibi() -> Iterator[tuple[Tensor, Tensor]]:
    """Bloom adds m·j in place of -m·(i - j): the same up to a constant of the row."""
    hidden = torch.ones(T, T).triu(1).bool()
    for n_heads in HEAD_COUNTS:
        theirs = build_alibi_tensor(torch.ones(1, T), n_heads, torch.float32)
        theirs = theirs.view(1, n_heads, 1, T).expand(-1, -1, T, -1)
        encoding = ALiBi(dims(True, n_heads))
        q = k = torch.zeros(1, n_heads, T, K)
        ours = encoding.bias(site_of(encoding, 0, q, q, k, POSITIONS, POSITIONS))
        of_ours, of_theirs = (
            added.masked_fill(hidden, -torch.inf).softmax(-1) for added in (ours, theirs)
        )
        yield of_ours, of_theirs
        yield ours.diff(dim=-1).tril(-1), theirs.diff(dim=-1).tril(-1)


@peer("ALiBi", "x-transformers AlibiPositionalBias")
def alibi_slopes() -> Iterator[tuple[Tensor, Tensor]]:
    for n_heads in HEAD_COUNTS:
        theirs = x_transformers.AlibiPositionalBias(heads=n_heads, total_heads=n_heads)
        yield torch.tensor(slopes(n_heads)), theirs.slopes.flatten()


def t5_peer(causal: bool, n_buckets: int, max_distance: int) -> T5Attention:
    """The attention of T5 that holds the table."""
    config = T5Config(
        d_model=D,
        d_kv=K,
        num_heads=H,
        is_decoder=causal,
        relative_attention_num_buckets=n_buckets,
        relative_attention_max_distance=max_distance,
    )
    return T5Attention(config, has_relative_attention_bias=True, layer_idx=0)


@peer("T5Bias", "transformers T5Attention")
def t5() -> Iterator[tuple[Tensor, Tensor]]:
    for causal in (False, True):
        for n_buckets, max_distance in ((32, 128), (8, 16), (48, 81)):
            encoding = T5Bias(dims(causal), n_buckets=n_buckets, max_distance=max_distance)
            theirs = t5_peer(causal, n_buckets, max_distance)
            theirs.relative_attention_bias.weight.data = encoding.table.data[0].t()
            n = 2 * max_distance
            positions = torch.arange(n).unsqueeze(0)
            q = torch.empty(1, H, n, K)
            ours = encoding.bias(site_of(encoding, 0, q, q, q, positions, positions))
            yield written_out(ours), theirs.compute_bias(n, n)


@peer("ShawRelative", "transformers Wav2Vec2BertSelfAttention (relative_key)")
def shaw() -> Iterator[tuple[Tensor, Tensor]]:
    """The model in transformers that still knows position_embeddings_type="relative_key"."""
    config = Wav2Vec2BertConfig(
        hidden_size=D,
        num_attention_heads=H,
        position_embeddings_type="relative_key",
        left_max_position_embeddings=6,
        right_max_position_embeddings=6,
        attention_dropout=0.0,
    )
    config._attn_implementation = "eager"
    theirs = Wav2Vec2BertSelfAttention(config).eval()
    encoding = ShawRelative(dims(), max_distance=6, std=1.0)
    theirs.distance_embedding.weight.data = encoding.table.data[0]
    x = torch.randn(B, T, D)
    _, expected = theirs(x, output_attentions=True)
    q, k = (
        project(x).unflatten(-1, (H, K)).transpose(1, 2)
        for project in (theirs.linear_q, theirs.linear_k)
    )
    yield attention_weights(operands(q, k, k, bias(encoding, q, k))), expected


@peer("ShawRelative", "transformers VitsAttention (keys and values)")
def shaw_values() -> Iterator[tuple[Tensor, Tensor]]:
    """The one in transformers with vectors on the values; within its window, of which it knows no
    offset beyond."""
    config = VitsConfig(
        hidden_size=D, num_attention_heads=H, window_size=T - 1, attention_dropout=0.0
    )
    theirs = VitsAttention(config).eval()
    encoding = ShawRelative(dims(), max_distance=T - 1, values=True)
    encoding.table.data[0], encoding.value_table.data[0] = theirs.emb_rel_k[0], theirs.emb_rel_v[0]
    ours = Attention(dims(), 0)
    linears = (theirs.q_proj, theirs.k_proj, theirs.v_proj)
    ours.qkv.weight.data = torch.cat([linear.weight for linear in linears])
    ours.qkv.bias.data = torch.cat([linear.bias for linear in linears])
    ours.out = theirs.out_proj
    places = Places(POSITIONS)
    prepared = encoding.prepare(places, places)
    everything = [Visibility(None, T, T, POSITIONS.device)]
    x = torch.randn(B, T, D)
    context = Context(encoding, places, places, prepared, everything)
    yield ours(x, context), theirs(x)[0]


@peer("LearnedRelativeBias", "transformers SwinRelativePositionBias")
def learned_relative_bias() -> Iterator[tuple[Tensor, Tensor]]:
    """Swin's table on a window one pixel high is a table of 1-D offsets, none of them clipped."""
    theirs = SwinRelativePositionBias(H, (1, T))
    encoding = LearnedRelativeBias(dims(), max_distance=T - 1)
    theirs.relative_position_bias_table.data = encoding.table.data[0].t()
    yield bias(encoding, *heads()), theirs().expand(1, -1, -1, -1)
