"""Rank collapse: do tokens become alike with depth?

Dong et al. 2021 (arXiv:2103.03404): a stack of attention alone converges doubly exponentially to
states that are the same for all tokens; skip connections keep it from that.

Shapes: B sequences, T tokens, D channels. Measurements are means over sequences, in float32 at
least.
"""

import torch
from torch import Tensor

from lightning_posenc.checks import kinds_checked
from lightning_posenc.diagnostics.observing.observe import Observation


@kinds_checked
@torch.no_grad()
def residual_ratio(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """r(X) = ‖X - 1x̄ᵀ‖ / ‖X‖ with ‖A‖ = √(‖A‖₁ ‖A‖∞) and x̄ the mean over tokens: 0 when all tokens
    are the same, about 1 when they have nothing in common.

    Dong et al. 2021, equation 1 and theorem 2.2; the mean stands for the nearest x, as in their
    code.

    Args:
        x: (B, T, D) states.
        lengths: (B,) tokens of each sequence; None if all are full.
    """
    x, real, n = _real(x, lengths)
    centred = (x - x.sum(dim=1, keepdim=True) / n) * real
    size = _norm(x)
    return torch.where(size > 0, _norm(centred) / size, 0).mean()


def _norm(x: Tensor) -> Tensor:
    magnitude = x.abs()
    return (magnitude.sum(dim=1).amax(dim=1) * magnitude.sum(dim=2).amax(dim=1)).sqrt()


@kinds_checked
@torch.no_grad()
def token_cosine(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Mean cosine between two different tokens of a sequence, in [-1, 1]: 1 when all point alike.

    Args:
        x: (B, T, D) states, T at least 2.
        lengths: (B,) tokens of each sequence; None if all are full.
    """
    x, _, n = _real(x, lengths)
    n = n.flatten()
    directions = torch.nn.functional.normalize(x, dim=-1)
    itself = directions.square().sum(dim=(1, 2))
    pairs = directions.sum(dim=1).square().sum(dim=1) - itself
    counted = n > 1
    return torch.where(counted, pairs / (n * (n - 1)).clamp(min=1), 0).sum() / counted.sum()


@kinds_checked
@torch.no_grad()
def effective_rank(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """exp(-Σ p_i ln p_i) with p = σ / Σσ of the singular values: from 1 to min(T, D).

    Roy & Vetterli 2007, "The effective rank: a measure of effective dimensionality", definition 1.

    Args:
        x: (B, T, D) states.
        lengths: (B,) tokens of each sequence; None if all are full.
    """
    x, _, _ = _real(x, lengths)
    sigma = torch.linalg.svdvals(x)
    p = sigma / sigma.sum(dim=1, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny)
    return torch.special.entr(p).sum(dim=1).exp().mean()


def rank_by_depth(seen: Observation, lengths: Tensor | None) -> dict[str, dict[int, Tensor]]:
    """The three measurements of the residual stream, by blocks passed."""
    return {
        f"rank/{name}": {n: measure(x, lengths) for n, x in enumerate(seen.hidden)}
        for name, measure in (
            ("residual", residual_ratio),
            ("cosine", token_cosine),
            ("effective", effective_rank),
        )
    }


def _real(x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """States with padding at 0, whether a token is real (B, T, 1), and how many are (B, 1, 1)."""
    x = x.detach().to(torch.promote_types(x.dtype, torch.float32))
    n_sequences, n_tokens, _ = x.shape
    n = torch.full((n_sequences,), n_tokens) if lengths is None else lengths
    n = n.to(x.device)[:, None, None]
    real = torch.arange(n_tokens, device=x.device)[:, None] < n
    return x.masked_fill(~real, 0), real, n
