"""What does a head look at: a fixed distance, what followed before, or the answer?

Shapes: B sequences, H heads, T tokens, t queries at a time.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.checks import kinds_checked
from lightning_posenc.diagnostics.observing.row_blocks import weights_by_block
from lightning_posenc.model.kernels import Operands

FEW = 0.5  # of the keys that a query sees, at most, may be looked for: else it need not choose


class HeadScores(NamedTuple):
    """What one layer's heads look at, (H,): scores are shares of weight above that of uniform
    attention, 1 where all of it lies there, 0 where no more than uniform's does.

    Args:
        previous: Score of the token one place before.
        offset: Score of the best other distance of at most T / 2.
        at: That distance i - j, in tokens; 0 is the query itself.
        induction: Score of the tokens that followed a token like the query's own.
        retrieval: Score of the tokens that are the answer asked of the query; NaN if nothing is
            asked, or no answer stands among the keys.
        by_offset: (H, 2T - 1) mean weight at each distance, from -(T - 1) to T - 1.
    """

    previous: Tensor
    offset: Tensor
    at: Tensor
    induction: Tensor
    retrieval: Tensor
    by_offset: Tensor


@kinds_checked
@torch.no_grad()
def head_scores(operands: Operands, tokens: Tensor, targets: Tensor | None = None) -> HeadScores:
    """Score one layer's heads, whose queries and keys are the same T tokens.

    Induction: keys j with x_{j-1} = x_i and j - 1 < i (Olsson et al. 2022, arXiv:2209.11895:
    prefix matching). Retrieval: keys j with x_j = y_i (Wu et al. 2024, arXiv:2404.15574, whose
    copy score counts the tokens that are written; this one the weight on those to be written).

    Args:
        operands: One layer's attention.
        tokens: (B, T) ids.
        targets: (B, T) ids asked of each token, below 0 where nothing is; None if answers are no
            tokens.
    """
    n_sequences, n_heads, n_queries, n_keys = operands.shape
    if not (n_queries == n_keys == tokens.shape[1] and len(tokens) == n_sequences):
        raise ValueError(
            f"head_scores wants queries and keys of the {tokens.shape[1]} tokens of "
            f"{len(tokens)} sequences, got {n_queries} and {n_keys} of {n_sequences}"
        )
    tokens = tokens.to(operands.q.device)
    follow = torch.nn.functional.pad(tokens[:, :-1], (1, 0), value=-1)  # x_{j-1}
    places = torch.arange(n_keys, device=tokens.device)
    by_offset = torch.zeros(2, n_heads, 2 * n_keys - 1, dtype=torch.float64, device=tokens.device)
    uniform = torch.zeros_like(by_offset[0, 0])
    found = {"induction": _Share(n_heads), "retrieval": _Share(n_heads)}
    for rows, weights in weights_by_block(operands):
        seen = operands.visibility.seen_by(rows)
        if seen is None:
            seen = weights.new_ones(1, 1, *weights.shape[2:], dtype=torch.bool)
        seen = seen.expand(n_sequences, -1, -1, -1)
        at = places[rows, None]
        index = (at - places + n_keys - 1).flatten()
        n_seen = seen.sum(dim=-1, keepdim=True)
        chance = (seen / n_seen.clamp(min=1)).double().mean(dim=1).sum(dim=0).flatten()
        uniform.index_add_(0, index, chance)
        for sums, values in zip(by_offset, (weights, seen.expand_as(weights)), strict=True):
            sums.index_add_(1, index, values.sum(dim=0).double().flatten(1))
        asked = {"induction": (follow[:, None] == tokens[:, rows, None]) & (places <= at)}
        if targets is not None:
            answer = targets.to(tokens.device)[:, rows, None]
            asked["retrieval"] = (tokens[:, None] == answer) & (places != at) & (answer >= 0)
        for name, wanted in asked.items():
            found[name].add(weights, seen & wanted[:, None], n_seen)
    sums, pairs = by_offset
    mean = torch.where(pairs > 0, sums / pairs.clamp(min=1), 0)
    chance = uniform / pairs.mean(dim=0).clamp(min=1)
    near = (torch.arange(2 * n_keys - 1, device=tokens.device) - n_keys + 1).abs() <= n_keys // 2
    over = torch.where(near & (chance < 1) & (pairs.mean(dim=0) > 0), _over(mean, chance), 0)
    one = n_keys  # the index of distance 1
    previous = over[:, one] if n_keys > 1 else over.new_zeros(n_heads)
    others = over.clone()
    others[:, one : one + 1] = 0
    best, where = others.max(dim=1)
    return HeadScores(
        previous.float(),
        best.float(),
        where - n_keys + 1,
        found["induction"].score(),
        found["retrieval"].score(),
        mean.float(),
    )


def _over(share: Tensor, chance: Tensor) -> Tensor:
    return (share - chance) / (1 - chance).clamp(min=1e-9)


class _Share:
    """Mean weight on what is looked for, over queries that have to choose it."""

    def __init__(self, n_heads: int) -> None:
        self.weight = torch.zeros(n_heads, dtype=torch.float64)
        self.chance = self.n = torch.zeros(n_heads, dtype=torch.float64)

    def add(self, weights: Tensor, wanted: Tensor, n_seen: Tensor) -> None:
        share = wanted.sum(dim=-1, keepdim=True) / n_seen.clamp(min=1)
        counts = ((share > 0) & (share <= FEW)).squeeze(-1)  # (B, 1|H, t)
        found = torch.where(wanted, weights, 0).sum(dim=-1)
        self.weight = self.weight + (found * counts).double().sum(dim=(0, 2)).cpu()
        self.chance = self.chance + (share.squeeze(-1) * counts).double().sum(dim=(0, 2)).cpu()
        self.n = self.n + counts.double().sum(dim=(0, 2)).cpu()

    def score(self) -> Tensor:
        return _over(self.weight / self.n, self.chance / self.n).float()  # NaN where none counts
