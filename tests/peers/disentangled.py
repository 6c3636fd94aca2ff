"""Encodings that add products of content and relative position, beside others' code."""

from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import DebertaV2Config, XLNetConfig
from transformers.models.deberta_v2.modeling_deberta_v2 import DisentangledSelfAttention
from transformers.models.xlnet.modeling_xlnet import XLNetModel, XLNetRelativeAttention

from lightning_posenc.model.kernels import attention_weights
from lightning_posenc.positional import DeBERTa, PositionalEncoding, TransformerXL
from tests.helpers import operands, site_of
from tests.peers.base import POSITIONS, B, D, H, K, T, bias, dims, peer


def weights(encoding: PositionalEncoding, q: Tensor, k: Tensor) -> Tensor:
    """The weights of a bidirectional attention, (B, H, T, S)."""
    turned, keys = encoding.transform(site_of(encoding, 0, torch.empty(B, T, D), q, k, *AT))
    return attention_weights(operands(turned, keys, keys, bias(encoding, q, k)))


AT = (POSITIONS, POSITIONS)


@peer("TransformerXL", "transformers XLNetRelativeAttention")
def transformer_xl() -> Iterator[tuple[Tensor, Tensor]]:
    config = XLNetConfig(d_model=D, n_head=H, n_layer=1, dropout=0.0, attn_type="bi")
    theirs = XLNetRelativeAttention(config)
    encoding = TransformerXL(dims())
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter)
    theirs.r.data = encoding.projection.data[0].permute(2, 0, 1)  # (D, H, K)
    theirs.r_w_bias.data = encoding.u.data[0]
    theirs.r_r_bias.data = encoding.v.data[0]
    q, k = torch.randn(2, T, B, H, K)
    waves = XLNetModel(config).relative_positional_encoding(T, T, bsz=B)
    relative = torch.einsum("ibd,dhk->ibhk", waves, theirs.r)
    _, expected = theirs.rel_attn_core(q, k, k, relative, output_attentions=True)
    q, k = (x.permute(1, 2, 0, 3) for x in (q, k))
    yield weights(encoding, q, k), expected.permute(2, 3, 0, 1)


def deberta_peer(share: bool, max_distance: int, buckets: int | None) -> DisentangledSelfAttention:
    """The attention of DeBERTa-v2, with all three terms."""
    config = DebertaV2Config(
        hidden_size=D,
        num_attention_heads=H,
        relative_attention=True,
        max_relative_positions=max_distance,
        position_buckets=buckets or -1,
        pos_att_type=["c2p", "p2c"],
        share_att_key=share,
    )
    config._attn_implementation = "eager"
    return DisentangledSelfAttention(config).eval()


@peer("DeBERTa", "transformers DisentangledSelfAttention (DeBERTa-v2)")
def deberta() -> Iterator[tuple[Tensor, Tensor]]:
    """With buckets only within max_distance: beyond, the peer lets keys to the right read a row
    that the authors leave unused. Where it projects positions as content, we are given a copy. A
    bias of its positional keys adds the same to all keys of a query, which the softmax cancels."""
    for share in (False, True):
        for max_distance, buckets in ((T, None), (8, None), (T, 8), (T + 9, 12)):
            theirs = deberta_peer(share, max_distance, buckets)
            encoding = DeBERTa(dims(), max_distance=max_distance, position_buckets=buckets)
            as_key = theirs.key_proj if share else theirs.pos_key_proj
            as_query = theirs.query_proj if share else theirs.pos_query_proj
            for linear in (theirs.query_proj, theirs.key_proj, as_key, as_query):
                torch.nn.init.normal_(linear.weight, std=D**-0.5)
                torch.nn.init.normal_(linear.bias)
            encoding.key_projection.data[0] = as_key.weight.data
            encoding.query_projection.data[0] = as_query.weight.data
            encoding.query_bias.data[0] = as_query.bias.data
            x = torch.randn(B, T, D)
            _, expected = theirs(
                x,
                torch.ones(B, 1, T, T),
                output_attentions=True,
                rel_embeddings=encoding.table.data,
            )
            q, k = (
                project(x).unflatten(-1, (H, K)).transpose(1, 2)
                for project in (theirs.query_proj, theirs.key_proj)
            )
            yield weights(encoding, q, k), expected
