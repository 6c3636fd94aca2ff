"""Encodings that scale queries, beside others' code."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor
from transformers.models.ministral3 import modeling_ministral3
from transformers.models.mistral_large4 import modeling_mistral_large4

from lightning_posenc.positional import Llama4Temperature, SSMax
from tests.peers.base import POSITIONS, B, H, T, dims, heads, peer, turned


@peer("SSMax", "transformers MistralLarge4TextSoftmaxScaling")
def ssmax() -> Iterator[tuple[Tensor, Tensor]]:
    ours = SSMax(dims(causal=True), learned_bias=True)
    theirs = modeling_mistral_large4.MistralLarge4TextSoftmaxScaling(H)
    assert ours.offset is not None
    with torch.no_grad():
        for mine, other in ((ours.scale, theirs.scale), (ours.offset, theirs.bias)):
            torch.nn.init.normal_(mine)
            other.copy_(mine[0])
    q, k = heads()
    positions = torch.randint(0, 5000, (B, T))
    found, kept = turned(ours, q, k, positions)
    yield found, theirs(q, positions, head_dim_first=True)
    yield kept, k


@peer("Llama4Temperature", "transformers Ministral3 get_llama_4_attn_scale")
def llama4() -> Iterator[tuple[Tensor, Tensor]]:
    q, k = heads()
    make = partial(Llama4Temperature, beta=0.3, floor=7, counts_itself=False)
    found, _ = turned(make(dims(causal=True)), q, k)
    yield found, q * modeling_ministral3.get_llama_4_attn_scale(POSITIONS, 0.3, 7)
