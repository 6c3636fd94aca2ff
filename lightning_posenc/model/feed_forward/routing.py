"""Where tokens are sent, how many an expert takes, and how uneven that is.

Shapes: B sequences, T tokens, E experts, k of them for each token.
"""

from typing import NamedTuple

import torch
from torch import Tensor, distributed
from torch.nn import functional as F


class Routing(NamedTuple):
    """What a router decided.

    Args:
        experts: (B, T, k) int64, the experts of each token, the best first.
        weights: (B, T, k) in float32 at least, what their outputs count.
        logits: (B, T, E) in float32 at least, that decided.
    """

    experts: Tensor
    weights: Tensor
    logits: Tensor

    @property
    def n_experts(self) -> int:
        """E."""
        return self.logits.shape[-1]

    @property
    def probabilities(self) -> Tensor:
        """(B, T, E), softmax of the logits."""
        return self.logits.softmax(dim=-1)

    def first(self, n: int) -> "Routing":
        """That of the first n sequences."""
        return Routing(*(part[:n] for part in self))

    def ranks(self, real: Tensor | None = None) -> Tensor:
        """(B, T, k), how many places of its expert were taken, within the sequence, before it.

        A token comes before those that follow it, with all its choices: what is taken tells nothing
        of the future.

        Args:
            real: (B, T), False for padding, which takes no place; None if there is none.
        """
        chosen = F.one_hot(self.experts, self.n_experts)
        if real is not None:
            chosen = chosen * real[..., None, None]
        taken = chosen.flatten(1, 2).cumsum(dim=1).view_as(chosen) - chosen
        return taken.gather(-1, self.experts.unsqueeze(-1)).squeeze(-1)


class Load(NamedTuple):
    """What the experts had to do in one forward pass: sums over its tokens without padding.

    Args:
        counts: (E,) tokens sent to each, k for each token.
        probabilities: (E,) sums of the router's probabilities.
        squares: Sum of the squared log-sum-exp of its logits.
        n_tokens: Number of tokens.
    """

    counts: Tensor
    probabilities: Tensor
    squares: Tensor
    n_tokens: Tensor

    @classmethod
    def of(cls, routing: Routing, real: Tensor | None = None) -> "Load":
        """Sum.

        Args:
            routing: What the router decided.
            real: (B, T), False for padding; None if there is none.
        """
        logits = routing.logits
        ones = logits.new_ones(logits.shape[:2])
        real = ones if real is None else real.to(logits.dtype)
        chosen = F.one_hot(routing.experts, routing.n_experts).sum(dim=2).to(logits.dtype)
        return cls(
            torch.einsum("bte,bt->e", chosen, real),
            torch.einsum("bte,bt->e", routing.probabilities, real),
            (logits.logsumexp(dim=-1).square() * real).sum(),
            real.sum(),
        )

    def of_all_ranks(self) -> "Load":
        """The same with counts of all ranks' tokens, so that the mean of the ranks' losses is that
        of all tokens together. Every rank must call.
        """
        if not distributed.is_initialized() or distributed.get_world_size() == 1:
            return self
        counted = torch.cat([self.counts, self.n_tokens.unsqueeze(0)]).detach()
        distributed.all_reduce(counted)
        n_ranks = distributed.get_world_size()
        return Load(counted[:-1], self.probabilities * n_ranks, self.squares * n_ranks, counted[-1])

    def unbalance(self) -> Tensor:
        """E · Σ f_i P_i: 1 where all experts have the same load, up to E where one has all.

        f is the share of choices and P the mean probability: Fedus et al. 2021, arXiv:2101.03961,
        equations 4 to 6, without their weight.
        """
        shares = self.counts / self.counts.sum().clamp(min=1)
        means = self.probabilities / self.n_tokens.clamp(min=1)
        return len(shares) * (shares * means).sum()

    def z(self) -> Tensor:
        """Mean of the squared log-sum-exp: Zoph et al. 2022, arXiv:2202.08906, equation 5."""
        return self.squares / self.n_tokens.clamp(min=1)
