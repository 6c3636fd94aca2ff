"""Choose the next token: the likeliest, or one that is drawn from some of the likely ones.

Shapes: B sequences, t tokens said so far, T in the end, V token ids.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_posenc.checks import LARGEST, number, whole, wrong
from lightning_posenc.draws import Draws, sent

_SEEDS = 2**63
_COLD = 1e-3  # temperatures below which float32 may not hold what scores become
_COLDEST = 1e-30  # below it, they are 0 to float32


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen, given the scores of all; names and order as in Hugging Face's
    `generate`.

    Scores of tokens that were said already are lowered (`repetition_penalty`), then all are
    divided by the temperature. Of these distributions the rest is left out, in this order:
    `top_k`, `top_p`, `min_p`. One of what is left is drawn, in proportion to its probability.

    What is drawn for a sequence depends on the seed, on the sequence's number and on the place of
    the token in the sequence alone: neither on the other sequences of a batch nor on what was drawn
    before by anybody else.

    Example:
        >>> from lightning_posenc.modules import Sampling
        >>> careful = Sampling(temperature=0.7, top_p=0.9, seed=3)
        >>> scores = torch.tensor([[2.0, 1.0, 0.0, -9.0]])
        >>> careful.left(scores).softmax(dim=-1).round(decimals=2)
        tensor([[0.8100, 0.1900, 0.0000, 0.0000]])

    Source: top_k Fan et al. 2018, arXiv:1805.04833, section 5.1; top_p Holtzman et al. 2020,
    arXiv:1904.09751, section 3.1; min_p Nguyen et al. 2025, arXiv:2407.01082, section 3;
    repetition_penalty Keskar et al. 2019, arXiv:1909.05858, section 4.1. Deviation: scores below 0
    are multiplied by the penalty, as everybody's code has it, for to divide them would raise them.

    Args:
        temperature: What scores are divided by; 0 takes the likeliest token, the first of equal
            ones, and draws nothing.
        top_k: How many tokens are left, the likeliest; as likely ones as the last stay too. None
            for all.
        top_p: The likeliest tokens are left that have this share of the probability together, at
            least one, in [0, 1]; 1 for all.
        min_p: Tokens are left that are at least so likely, times the likeliest, in [0, 1]; 0 for
            all.
        repetition_penalty: What scores of tokens that were said are divided by (multiplied, below
            0), in [1e-6, 1e6]; 1 for none. The prompt was said, too.
        seed: Of the draws, from 0.

    Raises:
        ValueError: If one of them is out of its range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        number(self, "temperature", self.temperature, 0)
        if self.top_k is not None:
            whole(self, "top_k", self.top_k)
        number(self, "top_p", self.top_p, 0, 1)
        number(self, "min_p", self.min_p, 0, 1)
        number(self, "repetition_penalty", self.repetition_penalty, 1 / LARGEST)
        whole(self, "seed", self.seed, 0, _SEEDS - 1)

    def drawn(self, numbers: Tensor, length: int, device: torch.device) -> Tensor | None:
        """What decides each token of each sequence: (B, T) float64 in [0, 1); None if nothing is
        drawn. The first of a longer sequence are those of a shorter one.

        Args:
            numbers: (B,) whole numbers of the sequences.
            length: T.
            device: Where they are used.
        """
        if self.temperature == 0:
            return None
        halves = Draws(self.seed, "said", numbers.cpu()).uniform(length, 2).double()
        return sent(halves[..., 0] + halves[..., 1] * 2.0**-24, device)

    def left(self, scores: Tensor, said: Tensor | None = None) -> Tensor:
        """Logits of what is drawn from: (B, V) in float32 at least, -inf where left out.

        Args:
            scores: (B, V) of the model.
            said: (B, t) tokens so far, for `repetition_penalty`; None for none.
        """
        logits = _precise(scores)
        if self.repetition_penalty != 1 and said is not None:
            logits = _penalised(logits, said, self.repetition_penalty)
        if 0 < self.temperature < _COLD:
            logits = logits - logits.amax(dim=-1, keepdim=True)
            logits = logits / max(self.temperature, _COLDEST)
        elif self.temperature not in (0, 1):
            logits = logits / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            least = logits.topk(self.top_k, dim=-1).values[..., -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        if self.top_p < 1:
            logits = logits.masked_fill(_beyond(logits, self.top_p), -torch.inf)
        if self.min_p > 0:
            probabilities = logits.softmax(dim=-1)
            least = self.min_p * probabilities.amax(dim=-1, keepdim=True)
            logits = logits.masked_fill(probabilities < least, -torch.inf)
        return logits

    def chosen(self, scores: Tensor, said: Tensor, drawn: Tensor | None) -> Tensor:
        """The next token of each sequence, (B,).

        Args:
            scores: (B, V) of the model.
            said: (B, t) tokens so far.
            drawn: (B,) in [0, 1), what decides; None if nothing is drawn.

        Raises:
            ValueError: If there is nothing to draw from: a score is NaN, or infinite.
        """
        if drawn is None:
            if self.repetition_penalty != 1:
                scores = _penalised(_precise(scores), said, self.repetition_penalty)
            return scores.argmax(dim=-1)
        shares = self.left(scores, said).softmax(dim=-1, dtype=torch.float64).cumsum(dim=-1)
        shares = shares / shares[:, -1:]  # the last is 1 exactly, and what is drawn lies below
        if shares.device.type == "cpu" and bool(shares[:, -1:].isnan().any()):
            raise ValueError("decoding: a score is NaN or infinite: the model's weights are broken")
        return torch.searchsorted(shares, drawn[:, None].contiguous(), right=True).squeeze(1)


FREE = Sampling()
"""Drawn from what the model says, as it says it."""

GREEDY = Sampling(temperature=0.0)
"""Always the likeliest token."""


def checked_sampling(given: Sampling) -> Sampling:
    """A `Sampling`, which nothing else stands for.

    Raises:
        ValueError: If it is none.
    """
    if not isinstance(given, Sampling):
        raise wrong("decoding", "sampling", given, "be a Sampling, as Sampling(temperature=0.7)")
    return given


def _precise(scores: Tensor) -> Tensor:
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


def _penalised(logits: Tensor, said: Tensor, penalty: float) -> Tensor:
    of_said = logits.gather(1, said)
    lowered = torch.where(of_said < 0, of_said * penalty, of_said / penalty)
    return logits.scatter(1, said, lowered)


def _beyond(logits: Tensor, share: float) -> Tensor:
    """Which tokens are unlikelier than those that have a share of the probability, (B, V) bool."""
    ordered, tokens = logits.sort(dim=-1)  # the unlikeliest first: their sum is exact
    beyond = ordered.softmax(dim=-1).cumsum(dim=-1) <= 1 - share
    beyond[..., -1] = False
    return torch.empty_like(beyond).scatter_(-1, tokens, beyond)
