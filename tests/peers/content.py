"""Encodings that read the tokens between a query and a key, beside others' code."""

import warnings
from collections.abc import Iterator

import torch
from torch import Tensor
from transformers.models.inkling.modeling_inkling import (
    InklingRelativeLogits,
    InklingShortConvolution,
)

from lightning_posenc.positional import CanonB, CoPE, FoX, InklingBias
from tests.helpers import site_of
from tests.peers.base import POSITIONS, B, D, H, K, T, dims, heads, peer

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # its use of jit
    from x_transformers import x_transformers


@peer("CoPE", "x-transformers CoPE")
def cope() -> Iterator[tuple[Tensor, Tensor]]:
    """The peer hides by the most negative number, whose gate is 0 as that of -inf."""
    hidden = torch.ones(T, T).triu(1).bool()
    for max_position in (3, 15, T):
        theirs = x_transformers.CoPE(K, H, max_position + 1)
        encoding = CoPE(dims(causal=True), max_position=max_position)
        theirs.pos_emb.data = encoding.table.data[0]
        q, k = heads()
        logits = (q @ k.transpose(-2, -1) * K**-0.5).masked_fill(hidden, -torch.inf)
        site = site_of(encoding, 0, torch.empty(B, T, D), q, k, POSITIONS, POSITIONS)
        expected = logits + theirs(q, logits.nan_to_num(neginf=torch.finfo().min))
        rescored = encoding.rescore(site)(logits)
        yield rescored.softmax(-1), expected.softmax(-1)
        yield rescored.tril(), expected.masked_fill(hidden, 0)


@peer("FoX", "x-transformers DataDependentAlibi")
def fox() -> Iterator[tuple[Tensor, Tensor]]:
    for gate_bias in (0.0, 5.0):
        theirs = x_transformers.DataDependentAlibi(D, H, bias_init=gate_bias)
        encoding = FoX(dims(causal=True), gate_bias=gate_bias)
        linear = theirs.to_forget_gates[0]
        encoding.weight.data[0] = linear.weight.data
        encoding.gate_bias.data[0] = linear.bias.data
        x = torch.randn(B, T, D)
        q, k = heads()
        ours = encoding.bias(site_of(encoding, 0, x, q, k, POSITIONS, POSITIONS))
        yield ours.tril(), theirs(x).tril()


@peer("InklingBias", "transformers InklingRelativeLogits")
def inkling() -> Iterator[tuple[Tensor, Tensor]]:
    """With the temperature of InklingAttention, whose lines are these."""
    at = POSITIONS[0]
    for extent, strength in ((5, 0.0), (T + 3, 0.0), (T, 0.1)):
        encoding = InklingBias(dims(causal=True), 16, extent, strength=strength, floor=8)
        theirs = InklingRelativeLogits(16, extent)
        theirs.proj.data = encoding.profiles.data[0]
        x = torch.randn(B, T, D)
        states = torch.einsum("btd,hrd->bthr", x, encoding.mixture[0])
        tau = 1 + strength * torch.log(((at + 1.0) / 8).clamp(min=1))
        q, k = heads()
        site = site_of(encoding, 0, x, q, k, POSITIONS, POSITIONS)
        yield encoding.bias(site), theirs(states, at, at) * tau.view(1, 1, -1, 1)
        yield encoding.transform(site)[0], q * tau.view(1, 1, -1, 1)


@peer("CanonB", "transformers InklingShortConvolution")
def canon() -> Iterator[tuple[Tensor, Tensor]]:
    encoding = CanonB(dims(causal=True), of="kv")
    q, k = heads()
    site = site_of(encoding, 0, torch.empty(B, T, D), q, k, POSITIONS, POSITIONS)
    turned = encoding.transform(site)[1]
    for kind, x, ours in (("k", k, turned), ("v", site.v, encoding.values(site))):
        theirs = InklingShortConvolution(D, 4, 0, 0)
        theirs.conv1d.weight.data = encoding.weights[kind].data[0].reshape(D, 1, 4)
        yield ours, theirs(x.transpose(1, 2).flatten(2)).view(B, T, H, K).transpose(1, 2)
