"""Rank collapse against plain loops, and as Dong et al. 2021 saw it."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc import Dims
from lightning_posenc.diagnostics import effective_rank, residual_ratio, token_cosine
from lightning_posenc.masks import Visibility
from lightning_posenc.model.mixers import Attention, Context
from lightning_posenc.positional import NoPE
from tests.diagnostics.naive import naive_norm

LENGTHS = (8, 5, 3)


@pytest.mark.parametrize("padded", [False, True])
def test_against_loops(padded: bool) -> None:
    x = torch.randn(3, 8, 6) + 0.5
    sequences = [
        row[:n].double().numpy() for row, n in zip(x, LENGTHS if padded else (8, 8, 8), strict=True)
    ]
    lengths = torch.tensor(LENGTHS) if padded else None
    ratios, cosines, ranks = [], [], []
    for rows in sequences:
        ratios.append(naive_norm(rows - rows.mean(axis=0)) / naive_norm(rows))
        cosines += [np.mean([
            a @ b / math.sqrt((a @ a) * (b @ b))
            for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j
        ])]  # fmt: skip
        sigma = np.sqrt(np.maximum(np.linalg.eigvalsh(rows @ rows.T), 0))
        p = sigma / sigma.sum()
        ranks.append(math.exp(-sum(v * math.log(v) for v in p if v > 0)))
    assert residual_ratio(x, lengths) == pytest.approx(np.mean(ratios), abs=1e-4)
    assert token_cosine(x, lengths) == pytest.approx(np.mean(cosines), abs=1e-4)
    assert effective_rank(x, lengths) == pytest.approx(np.mean(ranks), abs=1e-4)


def test_extremes() -> None:
    same = torch.randn(2, 1, 6).expand(2, 5, 6)
    assert residual_ratio(same) == pytest.approx(0, abs=1e-6)
    assert token_cosine(same) == pytest.approx(1, abs=1e-6)
    assert effective_rank(same) == pytest.approx(1, abs=1e-3)
    axes = torch.eye(6).expand(2, 6, 6)
    assert token_cosine(axes) == pytest.approx(0, abs=1e-6)
    assert effective_rank(axes) == pytest.approx(6, abs=1e-4)
    assert residual_ratio(torch.zeros(1, 3, 2)) == 0


def attention_only(n_layers: int, skip: bool) -> list[float]:
    """Residual ratios of a stack of attention, after each layer.

    As in the paper's code (twistedcubic/attention-rank-collapse), BERT's widths and its
    initialisation N(0, 0.02), post-norm, without feed-forward; tokens are random.
    """
    dims = Dims(768, 12, n_layers)
    x = torch.randn(2, 128, dims.d_model)
    visibility = [Visibility(None, 128, 128, x.device)]
    places = torch.arange(128)[None]
    context = Context(NoPE(dims), places, places, None, visibility)
    ratios = []
    for layer in range(n_layers):
        attention = Attention(dims, layer, bias=False)
        for parameter in attention.parameters():
            torch.nn.init.normal_(parameter, std=0.02)
        x = normed(x + attention(x, context) if skip else attention(x, context))
        ratios.append(residual_ratio(x))
    return ratios


def normed(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


@torch.no_grad()
def test_attention_alone_collapses_and_skips_prevent_it() -> None:
    assert attention_only(3, skip=False)[2] < 0.01
    assert attention_only(12, skip=True)[11] > 0.8  # Dong et al.: about .93
