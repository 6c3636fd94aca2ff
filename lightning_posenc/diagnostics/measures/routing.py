"""What do experts get to do, and does position decide it?

Shapes: B sequences, T tokens, E experts, k of them for each token, N choices in all.
"""

import torch
from torch import Tensor

from lightning_posenc.checks import kinds_checked
from lightning_posenc.diagnostics.observing.observe import Observation, Routed


@kinds_checked
@torch.no_grad()
def expert_counts(experts: Tensor, n_experts: int, lengths: Tensor | None = None) -> Tensor:
    """(T, E) in float64: how often each expert was chosen at each place, padding left out.

    Args:
        experts: (B, T, k) chosen experts.
        n_experts: E.
        lengths: (B,) tokens of each sequence; None if all are full.
    """
    n_sequences, length, k = experts.shape
    real = _real(n_sequences, length, lengths, experts.device).unsqueeze(-1).expand(-1, -1, k)
    place = torch.arange(length, device=experts.device)[:, None].expand(n_sequences, length, k)
    cells = (place * n_experts + experts)[real]
    return cells.bincount(minlength=length * n_experts).double().unflatten(0, (length, n_experts))


@kinds_checked
@torch.no_grad()
def explained_by_position(counts: Tensor) -> Tensor:
    """(I - E[I]) / (H - E[I]), the share of the choice of experts that the place alone explains.

    I is the mutual information of place and expert, H the entropy of the experts' load, and E[I]
    what I would be on average if the same choices fell on the same places by chance: few tokens
    make I large of themselves. 1 where the place decides, 0 where it tells nothing (just below it
    by chance), 0 too where one expert has all.

    Source: Vinh, Epps and Bailey 2010, "Information Theoretic Measures for Clusterings Comparison",
    JMLR 11, equations 7 to 9 (adjusted mutual information and the hypergeometric model), with the
    entropy of the experts for the upper bound, since that is the question.

    Args:
        counts: (T, E) how often each expert was chosen at each place.
    """
    counts = counts.double()
    n = counts.sum()
    of_place, of_expert = counts.sum(dim=1), counts.sum(dim=0)
    expected = of_place[:, None] * of_expert / n.clamp(min=1)
    information = torch.special.xlogy(counts, counts / expected.clamp(min=1e-300)).sum() / n
    entropy = torch.special.entr(of_expert / n).sum()
    chance = _by_chance(of_place, of_expert, n)
    left = entropy - chance
    return torch.where(left > 1e-9, (information - chance) / left.clamp(min=1e-9), 0.0).nan_to_num()


def _by_chance(of_place: Tensor, of_expert: Tensor, n: Tensor) -> Tensor:
    """The mean of the mutual information over all ways to deal out the choices."""
    sizes, times = of_place[of_place > 0].unique(return_counts=True)
    if not len(sizes):
        return n.new_zeros(())
    a, b = sizes[:, None, None], of_expert[:, None]  # (U, 1, 1) and (E, 1)
    both = torch.arange(1, int(sizes.max()) + 1, device=n.device, dtype=n.dtype)
    possible = (both <= torch.minimum(a, b)) & (both >= a + b - n)
    log_ways = _log_choose(b, both) + _log_choose(n - b, a - both) - _log_choose(n, a)
    chance = torch.where(possible, log_ways, -torch.inf).exp()
    gain = both / n * (n * both / (a * b).clamp(min=1)).log()
    return ((chance * gain).sum(dim=(1, 2)) * times).sum()


def _log_choose(n: Tensor, k: Tensor) -> Tensor:
    """Log of n choose k; of no meaning outside 0 <= k <= n."""
    return torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma((n - k).clamp(min=0) + 1)


@torch.no_grad()
def expert_load(seen: Observation, lengths: Tensor | None) -> dict[str, dict[int, Tensor]]:
    """Load, evenness, sureness, dropped share and what position explains, of each layer of experts.

    Args:
        seen: A forward pass.
        lengths: (B,) tokens of its sequences; None if all are full.
    """
    found: dict[str, dict[int, Tensor]] = {}
    for layer, routed in seen.routed.items():
        for name, value in _of_layer(routed, lengths).items():
            found.setdefault(f"experts/{name}", {})[layer] = value
    return found


def _of_layer(routed: Routed, lengths: Tensor | None) -> dict[str, Tensor]:
    routing = routed.routing
    n_sequences, length, k = routing.experts.shape
    real = _real(n_sequences, length, lengths, routing.experts.device)
    n_tokens = real.sum()
    counts = expert_counts(routing.experts, routing.n_experts, lengths)
    shares = counts.sum(dim=0) / (n_tokens * k).clamp(min=1)
    entropies = torch.special.entr(routing.probabilities).sum(dim=-1)
    kept = routed.kept(routing.ranks(real), real).sum()
    return {
        "load": shares.float(),
        "largest": (shares.max() * routing.n_experts).float(),
        "entropy": (entropies * real).sum() / n_tokens.clamp(min=1),
        "dropped": 1 - kept / (n_tokens * k).clamp(min=1),
        "by_position": explained_by_position(counts).float(),
    }


def _real(n_sequences: int, length: int, lengths: Tensor | None, device: torch.device) -> Tensor:
    """(B, T), False for padding."""
    if lengths is None:
        return torch.ones(n_sequences, length, dtype=torch.bool, device=device)
    return torch.arange(length, device=device) < lengths.to(device)[:, None]
