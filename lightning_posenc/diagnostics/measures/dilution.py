"""Does attention spread over more keys as sequences grow?

Shapes: B sequences, H heads, T queries, t of them at a time, S keys.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.checks import kinds_checked, wrong
from lightning_posenc.diagnostics.measures.entropy import attention_entropy
from lightning_posenc.diagnostics.observing.row_blocks import BLOCK, weights_by_block
from lightning_posenc.model.kernels import Operands

GROWN = 0.1  # of ln(visible keys) between the first length and the last, below which nothing grew


class Spread(NamedTuple):
    """Over how many keys one layer's heads spread their attention, means over real queries.

    Args:
        entropy: (H,) H_i = -Σ_j A_ij ln A_ij, in nats.
        best: (H,) largest weight of a key, max_j A_ij, in [0, 1].
        ln_keys: Logarithm of the number of keys that a query sees: the entropy of a uniform one.
    """

    entropy: Tensor
    best: Tensor
    ln_keys: float


@kinds_checked
@torch.no_grad()
def spread(operands: Operands, lengths: Tensor | None = None, block: int = BLOCK) -> Spread:
    """How far one layer spreads at one length, in O(block · S) memory.

    Args:
        operands: One layer's attention.
        lengths: (B,) tokens of each sequence; queries beyond are left out. None if all are full.
        block: Queries at a time.
    """
    n_sequences, n_heads, n_queries, n_keys = operands.shape
    device = operands.q.device
    places = torch.arange(n_keys, device=device)[n_keys - n_queries :]
    ends = torch.full((n_sequences,), n_keys, device=device) if lengths is None else lengths
    real = places < ends.to(device)[:, None]  # (B, T)
    sums = torch.zeros(2, n_heads, dtype=torch.float64, device=device)
    n_rows, ln_keys = 0.0, 0.0
    for rows, weights in weights_by_block(operands, block):
        seen = operands.visibility.seen_by(rows)
        if seen is None:
            seen = weights.new_ones(1, 1, *weights.shape[2:], dtype=torch.bool)
        # What pads is seen by nobody; where nobody says so, real keys alone are counted.
        inside = torch.arange(n_keys, device=device) < ends.to(device)[:, None]
        n_seen = (seen & inside[:, None, None]).sum(dim=-1).expand(n_sequences, n_heads, -1)
        counted = real[:, None, rows] & (n_seen > 0)
        found = torch.stack([attention_entropy(weights), weights.amax(dim=-1)])
        sums += torch.where(counted, found, 0).sum(dim=(1, 3), dtype=torch.float64)
        n_rows += float(counted.sum())
        ln_keys += float(torch.where(counted, n_seen.clamp(min=1).double().log(), 0).sum())
    of_head = max(n_rows / n_heads, 1.0)
    entropy, best = (sums / of_head).float()
    return Spread(entropy, best, ln_keys / max(n_rows, 1.0))


def dilution(by_length: Sequence[Spread]) -> Tensor:
    """Slope of the entropy against ln(visible keys) over lengths, (H,): ΔH / Δ ln n.

    1 where attention dilutes as uniform attention does; 0 where as many keys share it at every
    length; below 0 where it sharpens. ln(visible keys), a mean over queries, grows as ln T does,
    in a causal model too, and stands still under a window. Fitted by least squares.

    Source: what "Scalable-Softmax Is Superior for Attention" (Nakanishi 2025, arXiv:2501.19399)
    calls attention fading; the entropy's invariance is Su's argument for ln n.

    Args:
        by_length: One layer's, at two lengths or more.

    Returns:
        NaN if the number of visible keys does not grow.

    Example:
        >>> import torch
        >>> from lightning_posenc.diagnostics import Spread, dilution
        >>> uniform = [Spread(torch.tensor([x]), torch.tensor([0.1]), x) for x in (1.0, 2.0, 3.0)]
        >>> dilution(uniform)
        tensor([1.])
    """
    some = isinstance(by_length, list | tuple) and all(isinstance(x, Spread) for x in by_length)
    if not some or len(by_length) < 2:
        raise wrong(
            dilution, "by_length", by_length, "be what `spread` gives, of two lengths or more"
        )
    keys = torch.tensor([each.ln_keys for each in by_length], dtype=torch.float64)
    entropy = torch.stack([each.entropy.double().cpu() for each in by_length])
    if float(keys.max() - keys.min()) < GROWN:
        return torch.full((entropy.shape[1],), math.nan)
    x = keys - keys.mean()
    return ((x[:, None] * (entropy - entropy.mean(dim=0))).sum(dim=0) / x.square().sum()).float()
