"""Write an answer: always the likeliest token, or the likeliest sequence that a beam finds.

Shapes: B sequences, W hypotheses of each, N = B·W rows, t tokens of a hypothesis so far, T at most,
V token ids.
"""

from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

Length = TypeVar("Length", float, Tensor)


class Next(Protocol):
    """What says how likely each next token is, and can go on from some of its rows."""

    def __call__(self, said: Tensor) -> Tensor:
        """Map what is said so far, (N, t), to the scores of what follows, (N, V)."""

    def select(self, rows: Tensor) -> None:
        """Go on from rows (N,), each of the sequence of the row that it stands in."""


class Written(NamedTuple):
    """What was written, the end included and repeated behind itself.

    Args:
        tokens: (B, W, T') int64, the best hypothesis first; W = 1 of greedy decoding.
        scores: (B, W) the logarithm of each one's probability over `penalty` of its length; -inf
            where fewer were found.
        end: Token that ends a sequence.
    """

    tokens: Tensor
    scores: Tensor
    end: int

    def answers(self) -> list[list[int]]:
        """The best of each sequence, without the end."""
        best: list[list[int]] = self.tokens[:, 0].tolist()
        return [row[: row.index(self.end)] if self.end in row else row for row in best]


def penalty(length: Length, alpha: float) -> Length:
    """What a sum of logarithms over so many tokens, the end among them, is divided by.

    Source: Wu et al. 2016, "Google's Neural Machine Translation System", arXiv:1609.08144,
    equation 14.

    Args:
        length: At least 1; or many such.
        alpha: 0 for none; the larger, the more a long answer is favoured.
    """
    return ((5 + length) / 6) ** alpha


def greedily(
    step: Next, first: Tensor, end: int, most: int, limits: Tensor | None = None
) -> Written:
    """Write the likeliest next token, again and again, until all sequences have ended.

    Args:
        step: Of B rows.
        first: (B,) tokens to begin from, no part of the answer.
        end: Token that ends a sequence.
        most: T, at least 1.
        limits: (B,) tokens of each sequence at most; None for T. An end stands behind them.
    """
    said, total = first.unsqueeze(1), first.new_zeros(len(first), dtype=torch.float32)
    ended = torch.zeros_like(first, dtype=torch.bool)
    for length in range(1, most + 1):
        best, following = _logarithms(step(said)).max(dim=-1)
        following = following.masked_fill(ended, end)
        total = total + best.masked_fill(ended, 0.0)
        said = torch.cat([said, following.unsqueeze(1)], dim=1)
        ended = ended | (following == end)
        if limits is not None:
            ended = ended | (limits <= length)
        if bool(ended.all()):
            break
    return Written(said[:, None, 1:], total.unsqueeze(1), end)


def beam_search(
    step: Next,
    first: Tensor,
    end: int,
    most: int,
    width: int,
    alpha: float = 0.0,
    limits: Tensor | None = None,
) -> Written:
    """Write what is likeliest of all that a beam looks at.

    In each step every hypothesis is continued by every token; of the W best, those that end are
    kept aside, and the W best that do not end go on. It stops when none that goes on can become
    better than those kept aside. What has not ended after T tokens counts, as it stands, only where
    nothing has ended. Source: Sutskever et al. 2014, arXiv:1409.3215, section 3.2; with the W best
    going on, Wu et al. 2016, arXiv:1609.08144, section 7.

    Args:
        step: Of N rows, the W of a sequence next to each other.
        first: (B,) tokens to begin from, no part of the answer.
        end: Token that ends a sequence.
        most: T, at least 1.
        width: W, at least 1; with 1 and no penalty it is greedy decoding.
        alpha: Of the `penalty` of length, at least 0.
        limits: (B,) tokens of each sequence at most; None for T.
    """
    n_sequences, device = len(first), first.device
    said = first.repeat_interleave(width).unsqueeze(1)
    alive = first.new_full((n_sequences, width), -torch.inf, dtype=torch.float32)
    scores = alive.clone()
    alive[:, 0] = 0.0  # at first all hypotheses are the same
    done = torch.full((n_sequences, width, most), end, device=device)
    unended, unended_scores = done.clone(), scores.clone()
    limits = first.new_full((n_sequences,), most) if limits is None else limits
    hardest = penalty(limits, alpha)  # that of the longest answer of each
    base = torch.arange(n_sequences, device=device).unsqueeze(1) * width
    for length in range(1, most + 1):
        following = _logarithms(step(said)).unflatten(0, (n_sequences, width))  # (B, W, V)
        n_tokens = following.shape[-1]
        sums = (alive.unsqueeze(-1) + following).flatten(1)
        found, place = sums.topk(min(2 * width, sums.shape[1]), dim=-1)  # (B, C)
        rows, tokens = base + place // n_tokens, place % n_tokens
        longer = torch.cat([said[rows], tokens.unsqueeze(-1)], dim=-1)  # (B, C, 1 + length)
        ends = tokens == end
        among_best = torch.arange(found.shape[1], device=device) < width
        ended = found.masked_fill(~(ends & among_best), -torch.inf) / penalty(length, alpha)
        answers = torch.full((*found.shape, most), end, device=device)
        answers[..., :length] = longer[..., 1:]
        scores, kept = torch.cat([scores, ended], dim=1).topk(width, dim=-1)
        done = _taken(torch.cat([done, answers], dim=1), kept)
        alive, going = found.masked_fill(ends, -torch.inf).topk(width, dim=-1)
        said, rows = _taken(longer, going), rows.gather(1, going)
        said, rows = said.flatten(0, 1), rows.flatten()
        full = limits.unsqueeze(1) <= length
        scored = (alive / hardest.unsqueeze(1)).masked_fill(~full, -torch.inf)
        unended_scores = torch.maximum(unended_scores, scored)
        so_far = F.pad(
            said[:, 1:].unflatten(0, (n_sequences, width)), (0, most - length), value=end
        )
        unended = torch.where((limits == length)[:, None, None], so_far, unended)
        alive = alive.masked_fill(full, -torch.inf)
        # A sum only falls, and is divided by no more than the penalty of the longest answer.
        within_reach = alive[:, 0] / hardest > scores[:, -1]
        if length == most or not bool(within_reach.any()):
            break
        step.select(rows)
    none = (scores[:, :1] == -torch.inf).expand_as(scores)
    scores = torch.where(none, unended_scores, scores)
    done = torch.where(none.unsqueeze(-1), unended, done)
    longest = int((done != end).sum(dim=-1).max()) + 1
    return Written(done[..., : min(longest, most)], scores, end)


def _logarithms(scores: Tensor) -> Tensor:
    """Logarithms of probabilities (N, V), in float32 at least."""
    dtype = torch.promote_types(scores.dtype, torch.float32)
    return scores.to(dtype).log_softmax(dim=-1)


def _taken(sequences: Tensor, places: Tensor) -> Tensor:
    """Those (B, W, t) of sequences (B, C, t) that stand at places (B, W)."""
    return sequences.gather(1, places.unsqueeze(-1).expand(-1, -1, sequences.shape[-1]))
