"""How does a decoder read its source? One layer's cross-attention, head by head.

Shapes: B sequences, H heads, T queries, t of them at a time, S keys.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.checks import kinds_checked
from lightning_posenc.diagnostics.measures.entropy import attention_entropy
from lightning_posenc.diagnostics.observing.row_blocks import row_blocks
from lightning_posenc.model.kernels import Operands, attention_weights


class Alignment(NamedTuple):
    """Numbers of each head, (H,), float32: means over sequences.

    Args:
        entropy: -Σ_j A_ij ln A_ij, in nats, mean over queries too.
        monotonicity: Correlation (Pearson's) of a query's place i with the place that it reads,
            Σ_j A_ij j, in [-1, 1]: 1 where the source is read from its start to its end, -1 from
            its end to its start. Of sequences with two queries at least; 0 where nothing varies.
        coverage: Share of a source's tokens that are read, mean over j of min(1, Σ_i A_ij), in
            [0, 1]; the sums are the coverage of Tu et al. 2016, "Modeling Coverage for Neural
            Machine Translation", arXiv:1601.04811, section 3.1.1.
    """

    entropy: Tensor
    monotonicity: Tensor
    coverage: Tensor


@kinds_checked
@torch.no_grad()
def align(operands: Operands, lengths: Tensor, source_lengths: Tensor | None = None) -> Alignment:
    """Summarise one layer's cross-attention, in memory that grows with S and not with T · S.

    Args:
        operands: One layer's, whose keys are the source.
        lengths: (B,) tokens of each answer; queries beyond are left out.
        source_lengths: (B,) tokens of each source; None if all are full.
    """
    n_sequences, n_heads, n_queries, n_keys = operands.shape
    device = operands.q.device
    place = torch.arange(n_queries, device=device)
    real = (place < lengths.to(device).unsqueeze(1)).double()  # (B, T)
    keys = torch.arange(n_keys, device=device, dtype=torch.float64)
    entropy = real.new_zeros(n_sequences, n_heads)
    read = real.new_zeros(n_sequences, n_heads, n_queries)
    covered = real.new_zeros(n_sequences, n_heads, n_keys)
    for rows in row_blocks(operands):
        weights = attention_weights(operands, rows) * real[:, None, rows, None]
        entropy += attention_entropy(weights).double().sum(dim=-1)
        read[..., rows] = (weights.double() * keys).sum(dim=-1)
        covered += weights.sum(dim=2)
    n_real = real.sum(dim=1)
    of_source = keys.new_full((n_sequences,), n_keys)
    if source_lengths is not None:
        of_source = source_lengths.to(of_source)
    return Alignment(
        (entropy.sum(dim=0) / n_real.sum()).float(),
        _monotonicity(read, real).float(),
        (covered.clamp(max=1).sum(dim=-1) / of_source.unsqueeze(1)).mean(dim=0).float(),
    )


def _monotonicity(read: Tensor, real: Tensor) -> Tensor:
    """Mean correlation (H,) of places read (B, H, T) with those of real queries (B, T)."""
    n = real.sum(dim=1, keepdim=True).clamp(min=1)
    place = torch.arange(real.shape[1], device=real.device, dtype=real.dtype)
    here = (place - (real * place).sum(dim=1, keepdim=True) / n) * real  # (B, T)
    there = read - (read * real.unsqueeze(1)).sum(dim=-1, keepdim=True) / n.unsqueeze(2)
    there = there * real.unsqueeze(1)
    sizes = here.square().sum(dim=-1).unsqueeze(1) * there.square().sum(dim=-1)
    shared = (here.unsqueeze(1) * there).sum(dim=-1)
    found = torch.where(sizes > 1e-12, shared / sizes.clamp(min=1e-12).sqrt(), 0.0)
    counts = (real.sum(dim=1) > 1).to(found.dtype).unsqueeze(1)
    return (found * counts).sum(dim=0) / counts.sum().clamp(min=1)
