"""Encodings that change the residual stream, beside others' code."""

import warnings
from collections.abc import Iterator

import torch
from positional_encodings.torch_encodings import PositionalEncoding1D
from torch import Tensor

from lightning_posenc.positional import LearnedAbsolute, Sinusoidal
from tests.peers.base import POSITIONS, B, D, T, dims, peer

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # its use of jit
    from x_transformers import x_transformers


@peer("Sinusoidal", "positional-encodings PositionalEncoding1D")
def sinusoidal() -> Iterator[tuple[Tensor, Tensor]]:
    x = torch.randn(B, T, D)
    yield Sinusoidal(dims()).embed(x, POSITIONS, 0) - x, PositionalEncoding1D(D)(x)


@peer("LearnedAbsolute", "x-transformers AbsolutePositionalEmbedding")
def learned_absolute() -> Iterator[tuple[Tensor, Tensor]]:
    """The peer multiplies its table by 1/sqrt(D)."""
    theirs = x_transformers.AbsolutePositionalEmbedding(D, T)
    encoding = LearnedAbsolute(dims(), max_length=T)
    encoding.table.data = theirs.emb.weight.data * D**-0.5
    x = torch.randn(B, T, D)
    yield encoding.embed(x, POSITIONS, 0), x + theirs(x)
