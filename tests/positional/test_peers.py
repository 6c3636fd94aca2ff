"""Every encoding equals somebody else's implementation of it.

Shapes: B sequences, T tokens, H heads, K channels of a head, D = H·K.
"""

import warnings

import pytest
import torch
from positional_encodings.torch_encodings import PositionalEncoding1D
from rotary_embedding_torch import RotaryEmbedding
from torch import Tensor
from transformers import LlamaConfig, T5Config, Wav2Vec2BertConfig
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.llama import modeling_llama
from transformers.models.swin.modeling_swin import SwinRelativePositionBias
from transformers.models.t5.modeling_t5 import T5Attention
from transformers.models.wav2vec2_bert.modeling_wav2vec2_bert import Wav2Vec2BertSelfAttention

from lightning_posenc import Dims
from lightning_posenc.masks import Visibility
from lightning_posenc.model.kernels import Operands, attention_weights
from lightning_posenc.positional import (
    ALiBi,
    LearnedAbsolute,
    LearnedRelativeBias,
    PositionalEncoding,
    RoPE,
    ShawRelative,
    Sinusoidal,
    T5Bias,
)
from lightning_posenc.positional.alibi import slopes
from tests.helpers import both_directions, site_of
from tests.oracles import t5_bucket

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # its use of jit
    from x_transformers import x_transformers

B, T, H, K = 2, 40, 4, 8
D = H * K
POSITIONS = torch.arange(T).unsqueeze(0)


def dims(causal: bool = False, n_heads: int = H) -> Dims:
    return Dims(n_heads * K, n_heads, 1, causal)


def heads() -> tuple[Tensor, Tensor]:
    q, k = torch.randn(2, B, H, T, K)
    return q, k


def turned(encoding: RoPE, q: Tensor, k: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    x = q.transpose(1, 2).flatten(-2)
    return encoding.transform(site_of(encoding, 0, x, q, k, positions, positions))


def bias(encoding: PositionalEncoding, q: Tensor, k: Tensor) -> Tensor:
    x = torch.empty(B, T, D)
    added = encoding.bias(site_of(encoding, 0, x, q, k, POSITIONS, POSITIONS))
    assert added is not None
    return added


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


def test_rope_half_equals_llama() -> None:
    q, k = heads()
    positions = torch.randint(0, 200, (B, T))
    config = LlamaConfig(
        hidden_size=D,
        num_attention_heads=H,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
    )
    cos, sin = modeling_llama.LlamaRotaryEmbedding(config)(q, positions)
    expected = modeling_llama.apply_rotary_pos_emb(q, k, cos, sin)
    ours = turned(RoPE(dims(), base=500.0, layout="half"), q, k, positions)
    close(ours[0], expected[0])
    close(ours[1], expected[1])


def test_rope_interleaved_equals_rotary_embedding_torch() -> None:
    q, k = heads()
    peer = RotaryEmbedding(K, theta=500)
    ours = turned(RoPE(dims(), base=500.0, layout="interleaved"), q, k, POSITIONS)
    close(ours[0], peer.rotate_queries_or_keys(q))
    close(ours[1], peer.rotate_queries_or_keys(k))


def test_rope_interleaved_equals_x_transformers() -> None:
    q, k = heads()
    angles, _ = x_transformers.RotaryEmbedding(K)(torch.arange(T))
    ours = turned(RoPE(dims(), layout="interleaved"), q, k, POSITIONS)
    close(ours[0], x_transformers.apply_rotary_pos_emb(q, angles))
    close(ours[1], x_transformers.apply_rotary_pos_emb(k, angles))


@pytest.mark.parametrize("n_heads", [1, 2, 3, 6, 8, 12, 16])
def test_alibi_equals_bloom(n_heads: int) -> None:
    """Bloom adds m·j in place of -m·(i - j): the same up to a constant of the row."""
    theirs = build_alibi_tensor(torch.ones(1, T), n_heads, torch.float32).view(1, n_heads, 1, T)
    encoding = ALiBi(dims(True, n_heads))
    q = k = torch.zeros(1, n_heads, T, K)
    ours = encoding.bias(site_of(encoding, 0, q, q, k, POSITIONS, POSITIONS))
    hidden = torch.ones(T, T).triu(1).bool()
    weights = [
        added.expand(-1, -1, T, -1).masked_fill(hidden, -torch.inf).softmax(-1)
        for added in (ours, theirs)
    ]
    close(*weights)
    close(ours.diff(dim=-1).tril(-1), theirs.diff(dim=-1).expand(-1, -1, T, -1).tril(-1))


@pytest.mark.parametrize("n_heads", [1, 2, 3, 6, 8, 12, 16])
def test_alibi_slopes_equal_x_transformers(n_heads: int) -> None:
    peer = x_transformers.AlibiPositionalBias(heads=n_heads, total_heads=n_heads)
    close(torch.tensor(slopes(n_heads)), peer.slopes.flatten())


def t5_peer(causal: bool, n_buckets: int, max_distance: int) -> T5Attention:
    config = T5Config(
        d_model=D,
        d_kv=K,
        num_heads=H,
        is_decoder=causal,
        relative_attention_num_buckets=n_buckets,
        relative_attention_max_distance=max_distance,
    )
    return T5Attention(config, has_relative_attention_bias=True, layer_idx=0)


@both_directions
@pytest.mark.parametrize(("n_buckets", "max_distance"), [(32, 128), (8, 16), (48, 81)])
def test_t5_equals_transformers(causal: bool, n_buckets: int, max_distance: int) -> None:
    encoding = T5Bias(dims(causal), n_buckets=n_buckets, max_distance=max_distance)
    peer = t5_peer(causal, n_buckets, max_distance)
    peer.relative_attention_bias.weight.data = encoding.table.data.t()
    n = 2 * max_distance
    positions = torch.arange(n).unsqueeze(0)
    q = torch.empty(1, H, n, K)
    ours = encoding.bias(site_of(encoding, 0, q, q, q, positions, positions))
    close(ours, peer.compute_bias(n, n))


def test_t5_rounds_as_transformers_where_the_exact_bucket_differs() -> None:
    """A float32 logarithm puts distance 54 of (48 buckets, 81) into bucket 39, exactly it is 40.
    Checkpoints in circulation were trained with the peer's buckets: we side with it."""
    delta = torch.tensor([54])
    ours = T5Bias(dims(causal=True), n_buckets=48, max_distance=81).bucket(delta.float())
    assert ours == t5_peer(True, 48, 81)._relative_position_bucket(-delta, False, 48, 81)
    assert t5_bucket(54, 48, 81, causal=True) == ours.item() + 1


def test_shaw_equals_wav2vec2_bert() -> None:
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
    peer = Wav2Vec2BertSelfAttention(config).eval()
    encoding = ShawRelative(dims(), max_distance=6, std=1.0)
    peer.distance_embedding.weight.data = encoding.table.data[0]
    x = torch.randn(B, T, D)
    _, expected = peer(x, output_attentions=True)
    q, k = (
        project(x).unflatten(-1, (H, K)).transpose(1, 2)
        for project in (peer.linear_q, peer.linear_k)
    )
    everything = Visibility(None, T, T, x.device)
    close(attention_weights(Operands(q, k, k, bias(encoding, q, k), everything)), expected)


def test_sinusoidal_equals_positional_encodings() -> None:
    x = torch.randn(B, T, D)
    close(Sinusoidal(dims()).embed(x, POSITIONS, 0) - x, PositionalEncoding1D(D)(x))


def test_learned_absolute_equals_x_transformers() -> None:
    """The peer multiplies its table by 1/sqrt(D)."""
    peer = x_transformers.AbsolutePositionalEmbedding(D, T)
    encoding = LearnedAbsolute(dims(), max_length=T)
    encoding.table.data = peer.emb.weight.data * D**-0.5
    x = torch.randn(B, T, D)
    close(encoding.embed(x, POSITIONS, 0), x + peer(x))


def test_learned_relative_bias_equals_swin() -> None:
    """Swin's table on a window one pixel high is a table of 1-D offsets, none of them clipped."""
    peer = SwinRelativePositionBias(H, (1, T))
    encoding = LearnedRelativeBias(dims(), max_distance=T - 1)
    peer.relative_position_bias_table.data = encoding.table.data[0].t()
    close(bias(encoding, *heads()), peer().expand(1, -1, -1, -1))
