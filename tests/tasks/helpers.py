"""What the tests of several families of tasks share: enumerations, bags, shares, printed rows."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import product

import torch
from torch import Tensor

from lightning_posenc.tasks import Sample


def words(n_symbols: int, length: int) -> Iterator[tuple[int, ...]]:
    """Every word of that length."""
    return product(range(n_symbols), repeat=length)


def bag(tokens: Iterable[object]) -> tuple[str, ...]:
    """The multiset of tokens."""
    return tuple(sorted(map(str, tokens)))


def best_accuracy(cases: Iterable[tuple[float, Hashable, Hashable]]) -> float:
    """Accuracy of who says the likeliest answer to what is seen; cases: (weight, seen, answer)."""
    answers: dict[Hashable, Counter] = defaultdict(Counter)
    total = 0.0
    for weight, seen, answer in cases:
        answers[seen][answer] += weight  # type: ignore[assignment]
        total += weight
    return sum(max(counts.values()) for counts in answers.values()) / total


def assert_shares(counts: Iterable[int] | Tensor, shares: Sequence[float] | None = None) -> None:
    """Independent draws fell as `shares` say, all alike unless told, within five standard errors.

    Args:
        counts: how often each outcome was drawn.
        shares: of each outcome, in any unit.
    """
    found = torch.as_tensor(counts if isinstance(counts, Tensor) else list(counts)).double()
    expected = torch.ones_like(found) if shares is None else torch.tensor(shares).double()
    assert found.shape == expected.shape
    expected = expected / expected.sum()
    n = found.sum()
    assert n > 0
    errors = (found / n - expected).abs() / (expected * (1 - expected) / n).sqrt().clamp(min=1e-12)
    assert errors.amax() <= 5, f"{found.tolist()} of shares {expected.tolist()}"


def assert_follows(values: Tensor, shares: Sequence[float]) -> None:
    """The same for the outcomes themselves, integers from 0."""
    assert_shares(values.flatten().bincount(minlength=len(shares)), shares)


def rows(sample: Sample) -> Iterator[tuple[list[int], list[int]]]:
    """Tokens and targets of each sequence."""
    return zip(sample.tokens.tolist(), sample.targets.tolist(), strict=True)
