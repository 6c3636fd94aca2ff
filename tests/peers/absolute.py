"""Encodings that change the residual stream, beside others' code."""

import warnings
from collections.abc import Iterator

import torch
from positional_encodings.torch_encodings import PositionalEncoding1D
from rotary_embedding_torch import RotaryEmbedding
from torch import Tensor
from transformers import ViTConfig
from transformers.models.vit.modeling_vit import ViTEmbeddings

from lightning_posenc.positional import (
    ComplexEmbedding,
    LearnableFrequencies,
    LearnedAbsolute,
    LearnedGrid,
    Sinusoidal,
)
from lightning_posenc.positions import Grid, Sequences
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


@peer("LearnableFrequencies", "positional-encodings PositionalEncoding1D")
def learnable_frequencies() -> Iterator[tuple[Tensor, Tensor]]:
    """Before training."""
    x = torch.randn(B, T, D)
    yield LearnableFrequencies(dims()).embed(x, POSITIONS, 0) - x, PositionalEncoding1D(D)(x)


@peer("ComplexEmbedding", "rotary-embedding-torch RotaryEmbedding")
def complex_embedding() -> Iterator[tuple[Tensor, Tensor]]:
    """The peer turns pairs of neighbouring channels, too, of a head: here one as wide as x."""
    x = torch.randn(B, T, D)
    theirs = RotaryEmbedding(D, theta=500, learned_freq=True)
    ours = ComplexEmbedding(dims(), base=500.0)
    for step in (0.0, 0.3):  # as it starts, and with other frequencies
        theirs.freqs.data *= 1 + step
        ours.log_freq.data += torch.tensor(1 + step).log()
        yield ours.embed(x, POSITIONS, 0), theirs.rotate_queries_or_keys(x.unsqueeze(1)).squeeze(1)


@peer("LearnedGrid", "transformers ViTEmbeddings")
def learned_grid() -> Iterator[tuple[Tensor, Tensor]]:
    """The peer keeps its grid row by row behind a class token."""
    theirs = ViTEmbeddings(ViTConfig(hidden_size=D, image_size=24, patch_size=4)).eval()
    theirs.position_embeddings.data.normal_()
    ours = LearnedGrid(dims(), height=6, width=6)
    ours.table.data = theirs.position_embeddings.data[0, 1:].unflatten(0, (6, 6))
    pixels = torch.randn(B, 3, 24, 24)
    positions = Grid([6, 6])(Sequences(B, 36, torch.device("cpu")))
    yield ours.embed(theirs.patch_embeddings(pixels), positions, 0), theirs(pixels)[:, 1:]
