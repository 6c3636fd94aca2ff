"""Latent attention is DeepSeek's, and decodes from what it keeps as if it had kept all.

Shapes: B sequences, T tokens, H heads, D = d_model, Z channels of a latent, R that are turned.
"""

from functools import partial

import pytest
import torch
from transformers import DeepseekV3Config
from transformers.models.deepseek_v3.modeling_deepseek_v3 import (
    DeepseekV3Attention,
    DeepseekV3RotaryEmbedding,
)

from lightning_posenc import Dims, Encoder
from lightning_posenc.model import LatentAttention
from lightning_posenc.model.cache import Cache
from lightning_posenc.positional import ALiBi, Chain, CoPE, FoX, NoPE, RoPE, ShawRelative, XPos
from lightning_posenc.positional.base import Factory

B, T, D, H, Z, R, C = 2, 10, 32, 4, 12, 8, 6
make = partial(LatentAttention, kv_rank=Z, q_rank=10, d_content=C)


def encoder(positional: Factory) -> Encoder:
    torch.manual_seed(0)
    return Encoder(Dims(D, H, 1, causal=True), positional, mixer=make, init_std=0.3).eval()


@torch.no_grad()
def test_equals_deepseek_of_hugging_face() -> None:
    ours, x = encoder(RoPE), torch.randn(B, T, D)
    config = DeepseekV3Config(
        hidden_size=D, num_attention_heads=H, num_key_value_heads=H, q_lora_rank=10,
        kv_lora_rank=Z, qk_rope_head_dim=R, qk_nope_head_dim=C, v_head_dim=R, rope_interleave=False,
        attention_bias=False, max_position_embeddings=64, attn_implementation="eager",
    )  # fmt: skip
    theirs = DeepseekV3Attention(config, 0).eval()
    state = ours.mixers[0].state_dict()
    content, turned = state["q.weight"].split([H * C, H * R])
    keys, values = state["kv.weight"].split([H * C, H * R])

    def by_head(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return torch.cat([first.unflatten(0, (H, -1)), second.unflatten(0, (H, -1))], 1).flatten(
            0, 1
        )

    theirs.load_state_dict({
        "q_a_proj.weight": state["q_latent.weight"],
        "q_a_layernorm.weight": state["q_norm.weight"],
        "q_b_proj.weight": by_head(content, turned),
        "kv_a_proj_with_mqa.weight": state["kv_latent.weight"],
        "kv_a_layernorm.weight": state["kv_norm.weight"],
        "kv_b_proj.weight": by_head(keys, values),
        "o_proj.weight": state["out.weight"],
    })  # fmt: skip
    positions = torch.arange(T)[None]
    rotation = DeepseekV3RotaryEmbedding(config)(x, positions)
    hidden = torch.zeros(T, T).masked_fill(~torch.ones(T, T).tril().bool(), -torch.inf)
    given: list[torch.Tensor] = []
    ours.mixers[0].register_forward_hook(lambda _, args, out: given.extend((args[0], out)))
    ours(x)
    expected, _ = theirs(given[0], position_embeddings=rotation, attention_mask=hidden[None, None])
    torch.testing.assert_close(given[1], expected, rtol=1e-4, atol=1e-5)


ENCODINGS = [NoPE, RoPE, XPos, ALiBi, FoX, CoPE, ShawRelative, Chain.of(RoPE, ALiBi)]


@torch.no_grad()
@pytest.mark.parametrize("positional", ENCODINGS)
def test_decodes_from_latents_as_if_all_had_been_kept(positional: Factory) -> None:
    of, x, cache, read = encoder(positional), torch.randn(B, T, D), Cache(T), []
    for start, end in ((0, 6), (6, 7), (7, 8), (8, T)):
        here = torch.arange(end)[None]
        read.append(of(x[:, start:end], positions=here, cache=cache))
    torch.testing.assert_close(torch.cat(read, dim=1), of(x), rtol=0, atol=1e-5)
    inputs = D if of.positional.reads_inputs else 0
    assert cache.n_bytes == 4 * B * T * (Z + R + inputs)
