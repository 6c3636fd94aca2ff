"""Sparse attention of Hugging Face with our weights: Longformer's and BigBird's.

Shapes: B sequences, T tokens, D = d_model, N blocks, r of them drawn.
"""

import torch
from torch import Tensor

from lightning_posenc.masks import BigBird, GlobalTokens, Longformer, RandomBlocks, Window
from lightning_posenc.model import Attention


def longformer(of: Attention, mask: Longformer, x: Tensor, lengths: Tensor) -> Tensor:
    """What its layer gives before the last projection, (B, T, D).

    It projects for global attention by weights of its own: here the same as for the window.
    """
    from transformers import LongformerConfig
    from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

    config = LongformerConfig(
        hidden_size=of.dims.d_model,
        num_attention_heads=of.dims.n_heads,
        attention_window=[2 * (mask.size - 1)],
        attention_probs_dropout_prob=0.0,
    )
    layer, state = LongformerSelfAttention(config, 0), _projections(of)
    layer.load_state_dict(
        state | {name.replace(".", "_global."): value for name, value in state.items()}
    )
    place = torch.arange(x.shape[1])
    hidden, is_global = place >= lengths[:, None], (place < mask.n_global).expand(len(x), -1)
    told = torch.where(hidden, -10000.0, torch.where(is_global, 10000.0, 0.0))
    (mixed,) = layer(x, told, hidden, is_global, is_global_attn=True)
    return mixed


def big_bird(of: Attention, mask: BigBird, x: Tensor, lengths: Tensor) -> Tensor:
    """The same of BigBird's, at our random blocks, which it draws for each head apart."""
    from transformers import BigBirdConfig
    from transformers.models.big_bird import modeling_big_bird as theirs

    config = BigBirdConfig(
        hidden_size=of.dims.d_model,
        num_attention_heads=of.dims.n_heads,
        block_size=mask.size,
        num_random_blocks=mask.n_random,
        attention_probs_dropout_prob=0.0,
    )
    layer = theirs.BigBirdBlockSparseAttention(config)
    layer.load_state_dict(_projections(of))
    besides = Window(2) | GlobalTokens(1, 1)
    drawn = RandomBlocks(mask.size, mask.n_random, mask.seed, besides)
    blocks = drawn.drawn(x.shape[1] // mask.size)[1:-1]  # the ends see all
    table = blocks.nonzero()[:, 1].view(len(blocks), mask.n_random).numpy()
    layer._bigbird_block_rand_mask_with_head = lambda **_: [table] * of.dims.n_heads
    seen = (torch.arange(x.shape[1]) < lengths[:, None]).float()
    masks = theirs.BigBirdModel.create_masks_for_block_sparse_attn(seen, mask.size)
    blocked, band, of_queries, of_keys = masks
    mixed, _ = layer(x, band, of_queries, of_keys, blocked, blocked)
    return mixed


def _projections(of: Attention) -> dict[str, Tensor]:
    found = {}
    for kind in ("weight", "bias"):
        parts = getattr(of.qkv, kind).chunk(3)
        found |= {
            f"{name}.{kind}": part
            for name, part in zip(("query", "key", "value"), parts, strict=True)
        }
    return found
