"""Plain float64 loops, straight from the definitions: what the measurements are held to."""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_posenc.masks import Causal, Mask, Padding
from lightning_posenc.model.kernels import Operands
from lightning_posenc.positional.by_distance import written_out
from tests.helpers import operands

Array = NDArray[np.float64]
B, H, G, T, S, K = 3, 4, 2, 7, 9, 5  # the queries are the last 7 of 9 keys


def random_view(
    *,
    biased: bool = True,
    mask: str = "padding",
    n_queries: int = T,
    lengths: tuple[int, ...] = (9, 6, 4),
    rescored: bool = False,
) -> Operands:
    """Random operands; mask is "none", "causal", "padding" (a predicate) or "tensor" (random)."""
    visible: torch.Tensor | Mask | None = None
    if mask == "causal":
        visible = Causal()
    elif mask == "padding":
        visible = Causal() & Padding(torch.tensor(lengths))
    elif mask == "tensor":  # heads differ, and some rows see nothing
        visible = torch.rand(B, H, n_queries, S) < 0.5
        visible[0, 1, 2] = False
    return operands(
        2 * torch.randn(B, H, n_queries, K),
        torch.randn(B, G, S, K),
        torch.randn(B, G, S, K),
        torch.randn(1, H, n_queries, S) if biased else None,
        visible,
        (lambda logits: 2 * logits) if rescored else None,
    )


class Naive(NamedTuple):
    """Attention, logits and visibility (B, H, T, S) in float64."""

    weights: Array
    logits: Array
    visible: NDArray[np.bool_]


def naive_attention(view: Operands, lengths: tuple[int, ...] = ()) -> Naive:
    """One logit at a time."""
    q, k = view.q.double().numpy(), view.k.double().numpy()
    n_sequences, n_heads, n_queries, n_keys = view.shape
    shape = (n_sequences, n_heads, n_queries, n_keys)
    mask = view.visibility.mask
    weights, logits = np.zeros(shape), np.full(shape, -np.inf)
    visible = np.zeros(shape, dtype=bool)
    for b, h, i in np.ndindex(*shape[:3]):
        place = n_keys - n_queries + i
        for j in range(n_keys):
            if isinstance(mask, torch.Tensor):
                seen = bool(mask[b, h, i, j])
            elif mask is None:
                seen = True
            elif lengths:
                seen = j <= place and (j < lengths[b] or j == place)
            else:
                seen = j <= place
            visible[b, h, i, j] = seen
            logit = view.scale * float(q[b, h, i] @ k[b, h // (n_heads // k.shape[1]), j])
            if view.bias is not None:
                logit += float(written_out(view.bias)[0, h, i, j])
            if view.rescore is not None:
                logit *= 2
            if seen:
                logits[b, h, i, j] = logit
        if visible[b, h, i].any():
            powers = np.exp(logits[b, h, i] - logits[b, h, i].max())
            weights[b, h, i] = powers / powers.sum()
    return Naive(weights, logits, visible)


def naive_entropy(row: Array) -> float:
    """-Σ p ln p of one distribution."""
    return -sum(p * math.log(p) for p in row if p > 0)


def naive_norm(x: Array) -> float:
    """√(largest column sum · largest row sum) of absolute values."""
    columns = max(sum(abs(v) for v in x[:, j]) for j in range(x.shape[1]))
    rows = max(sum(abs(v) for v in x[i]) for i in range(x.shape[0]))
    return math.sqrt(columns * rows)
