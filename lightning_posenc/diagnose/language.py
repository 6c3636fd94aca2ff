"""What another package's language model makes of a person's text, by place, length and context.

Shapes: B sequences, T tokens.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from lightning_posenc.diagnose.subject import OtherModel
from lightning_posenc.pretrained.evaluating.intervals import Interval, difference, interval
from lightning_posenc.pretrained.evaluating.losses import (
    by_place,
    last_losses,
    losses,
    losses_by_context,
)
from lightning_posenc.pretrained.evaluating.order_task import OrderScores, order_task
from lightning_posenc.pretrained.evaluating.passkey import PasskeyScores, passkey
from lightning_posenc.pretrained.evaluating.shift import shift_test
from lightning_posenc.pretrained.where_positions import InTable, what_positions

LAST = 128  # tokens that are scored under each context, at most an eighth of the sequence
SHORTEST = 16  # tokens of the shortest context
BINS = 12  # stretches of places
ASKED = 2048  # tokens of the prompts of one length and depth, between one prompt and MOST_ASKED
MOST_ASKED = 5
LEAST = 64  # tokens of a question with some filler
SHIFTS = (1, 64, 1000)
SKIPPABLE = {"context": "effective context", "passkey": "passkey", "order": "order task"}
Found = TypeVar("Found")


class Language(NamedTuple):
    """Scores of a language model; None where there are none, and `without` says why.

    Args:
        texts: Names of the texts.
        n_tokens: Tokens that were scored at the examined length.
        guess: Entropy of those tokens, in nats: the loss of one answer given always, the best one.
        stretches: First place, and the one after the last, of stretches of places.
        by_place: Loss of each stretch in sequences of the examined length, in nats.
        by_length: Loss of all tokens of a sequence, by its length, shortest first.
        by_context: Loss of the same last tokens, by how many tokens the model is given in all.
        n_last: How many tokens these are.
        gains: What each context of `by_context` but the first takes off the loss of the one
            before it: paired differences.
        passkey: Keys found, by length and depth.
        order: Answers that order alone tells.
        shift: Change of the logits by how far all positions are shifted.
        without: Why something is not there, by its name.
    """

    texts: tuple[str, ...]
    n_tokens: int
    guess: float | None
    stretches: list[tuple[int, int]]
    by_place: list[Interval]
    by_length: dict[int, Interval]
    by_context: dict[int, Interval]
    n_last: int
    gains: dict[int, Interval]
    passkey: PasskeyScores | None
    order: OrderScores | None
    shift: dict[int, float] | None
    without: dict[str, str]

    @property
    def effective(self) -> int | None:
        """Effective context: the longest that still takes something off the loss; None: unknown.

        It is the last context whose gain is above 0 with its whole interval; the shortest, if none
        is.
        """
        helps = [n for n, gain in self.gains.items() if gain.is_above]
        return max(helps, default=min(self.by_context, default=None)) if self.gains else None

    @property
    def harmful(self) -> int | None:
        """The first context which adds to the loss of the one before; None if none does."""
        return min((n for n, gain in self.gains.items() if gain.is_below), default=None)


def measure_language(subject: OtherModel) -> Language:
    """Score the examined sequences, hide things in filler and ask for them, shift all positions."""
    without: dict[str, str] = {}

    def tried(name: str, measure: Callable[[], Found]) -> Found | None:
        if name in (SKIPPABLE[each] for each in subject.skipped):
            without[name] = "left out (--skip)"
            return None
        try:
            return measure()
        except ValueError as error:
            without[name] = str(error)
            return None

    losses_found = tried("loss", lambda: _losses(subject))
    contexts = tried("effective context", lambda: _contexts(subject)) or {}
    n_last = _n_last(subject.length)
    ends = {n: last_losses(found, n_last) for n, found in contexts.items()}
    gains = {n: difference(ends[m], ends[n]) for m, n in zip(ends, list(ends)[1:], strict=False)}
    lengths = {n: interval(found.mean(dim=1)) for n, found in contexts.items()}
    stretches: list[tuple[int, int]] = []
    curve: list[Interval] = []
    if losses_found is not None:
        stretches, means = by_place(losses_found, BINS)
        curve = [interval(column[column.isfinite()]) for column in means.T]
        lengths.setdefault(subject.length, interval(losses_found.nanmean(dim=1)))
    scored = 0 if losses_found is None else int(losses_found.isfinite().sum())
    return Language(
        texts=tuple(text.name for text in subject.texts),
        n_tokens=scored,
        guess=_guess(subject.batch.tokens) if scored else None,
        stretches=stretches,
        by_place=curve,
        by_length=lengths,
        by_context={n: interval(values) for n, values in ends.items()},
        n_last=n_last,
        gains=gains,
        passkey=tried("passkey", lambda: _passkey(subject)),
        order=tried("order task", lambda: _order(subject)),
        shift=tried("shift test", lambda: _shift(subject)),
        without=without,
    )


def _losses(subject: OtherModel) -> Tensor:
    _check_text(subject)
    return losses(subject.pretrained, subject.batch.tokens)


def _check_text(subject: OtherModel) -> None:
    if not subject.texts:
        raise ValueError("no text was given (--text), and random tokens say nothing")


def _contexts(subject: OtherModel) -> dict[int, Tensor]:
    _check_text(subject)
    if subject.pretrained.kind != "causal":
        raise ValueError("a token that sees both sides has no context that grows")
    prefix, length = subject.texts[0].prefix, subject.length
    shortest = max(SHORTEST, 2 * _n_last(length) + len(prefix))
    if shortest >= length:
        raise ValueError(f"{length} tokens are too few to shorten: give --length")
    contexts = [length]
    while contexts[-1] // 2 >= shortest:
        contexts.append(contexts[-1] // 2)
    return losses_by_context(subject.pretrained, subject.batch.tokens, contexts, prefix)


def _n_last(length: int) -> int:
    return max(1, min(LAST, length // 8))


def _passkey(subject: OtherModel) -> PasskeyScores:
    lengths, n = _asked(subject)
    return passkey(subject.pretrained, lengths, n=n)


def _order(subject: OtherModel) -> OrderScores:
    lengths, n = _asked(subject)
    return order_task(subject.pretrained, lengths, n=max(2, 2 * n))


def _asked(subject: OtherModel) -> tuple[list[int], int]:
    """Half the examined length and all of it, and how many prompts of each."""
    length = subject.length
    if length < 2 * LEAST:
        raise ValueError(f"{length} tokens have no room for a question in filler: give --length")
    return [length // 2, length], max(1, min(MOST_ASKED, ASKED // length))


def _shift(subject: OtherModel) -> dict[int, float]:
    positions = what_positions(subject.pretrained.model)
    start, end = 0, positions.trained_length
    if isinstance(positions, InTable):
        start, end = positions.first, positions.rows - positions.offset
    n_tokens = subject.few.tokens.shape[1]
    room = (end or n_tokens + max(SHIFTS)) - n_tokens
    by = sorted({min(c, room) for c in SHIFTS if room > 0})
    if not by:
        raise ValueError(f"{n_tokens} tokens fill the trained length: there is no room to shift")
    return shift_test(subject.pretrained, subject.few.tokens, by, start)


def _guess(tokens: Tensor) -> float:
    shares = tokens.flatten().bincount().double()
    shares /= shares.sum()
    return float(torch.special.entr(shares).sum())
