"""How much of the states' variance is position?

Shapes: B sequences, T positions, D channels.
"""

import math

import torch
from torch import Tensor

from lightning_posenc.checks import kinds_checked
from lightning_posenc.diagnostics.observing.observe import Observation


@kinds_checked
@torch.no_grad()
def positional_share(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """The share of variance that the index of the position explains, in [0, 1].

    The naive share is between-position over total sum of squares, Σ_t n_t ‖x̄_t - x̄‖² over
    Σ_bt ‖x_bt - x̄‖². In pure noise it is about 1 / B and not 0, since the mean of few sequences is
    noise itself. That expectation is taken off and the rest stretched to [0, 1], as in the adjusted
    R² (Ezekiel 1930): 1 - (1 - naive) (N - 1) / (N - T) with N tokens in all.

    Args:
        x: (B, T, D): the states of a layer, or the gradients of a loss by them.
        lengths: (B,) tokens of each sequence; None if all are full.

    Raises:
        ValueError: Of one sequence, where nothing tells position from token.
    """
    n_sequences, n_positions, _ = x.shape
    if n_sequences < 2:
        raise ValueError(
            "the share of position needs at least two sequences: with one, every token stands "
            "alone at its position"
        )
    x = x.detach().double()
    n = torch.full((n_sequences,), n_positions) if lengths is None else lengths
    real = (torch.arange(n_positions, device=x.device) < n.to(x.device)[:, None]).unsqueeze(-1)
    x = x.masked_fill(~real, 0)
    at = real.sum(dim=0)  # (T, 1) sequences that reach a position
    n_tokens, n_reached = at.sum(), (at > 0).sum()
    middle = x.sum(dim=(0, 1)) / n_tokens
    means = x.sum(dim=0) / at.clamp(min=1)
    total = (x - middle).mul(real).square().sum()
    within = (x - means).mul(real).square().sum()
    share = 1 - within / total * (n_tokens - 1) / (n_tokens - n_reached)
    return torch.where(total == 0, 0, share).clamp(0, 1)


def share_by_depth(
    seen: Observation, lengths: Tensor | None
) -> dict[str, dict[int, Tensor | float]]:
    """The share in the residual stream, by blocks passed; NaN of one sequence."""
    return {
        "pos_share": {
            n: positional_share(x, lengths) if len(x) > 1 else math.nan
            for n, x in enumerate(seen.hidden)
        }
    }
