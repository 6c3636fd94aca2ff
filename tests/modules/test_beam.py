"""A beam finds what an enumeration finds, and one of width 1 what greedy decoding does.

Shapes: B sequences, W hypotheses of each, V tokens, the last of which ends.
"""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_posenc.modules.beam import Written, beam_search, greedily, penalty

V, MOST, END = 4, 4, 3


class Table:
    """Scores of the next token, drawn for each sequence and each prefix, and a record of rows."""

    def __init__(self, n_sequences: int, width: int, seed: int = 0, ends: float = 0.0) -> None:
        self.sequences = torch.arange(n_sequences).repeat_interleave(width)
        self.history = torch.full((n_sequences * width, 1), END)
        self.seed, self.ends = seed, ends

    def of(self, sequence: int, prefix: tuple[int, ...]) -> Tensor:
        code = sum((t + 1) * (V + 1) ** n for n, t in enumerate(prefix)) + 10_000 * sequence
        scores = torch.randn(V, generator=torch.Generator().manual_seed(code + 77 * self.seed))
        scores[END] += self.ends
        return 2 * scores

    def __call__(self, said: Tensor) -> Tensor:
        assert torch.equal(said[:, :-1] if said.shape[1] > 1 else said, self.history)
        self.history = said
        rows = zip(self.sequences.tolist(), said[:, 1:].tolist(), strict=True)
        return torch.stack([self.of(n, tuple(row)) for n, row in rows])

    def select(self, rows: Tensor) -> None:
        assert torch.equal(self.sequences[rows], self.sequences)
        self.history = self.history[rows]


def enumerated(of: Table, sequence: int, alpha: float) -> list[tuple[float, list[int]]]:
    """All answers that end within MOST tokens, the likeliest first."""
    found = []
    for n in range(MOST):
        for prefix in itertools.product(range(END), repeat=n):
            total = 0.0
            for place, token in enumerate((*prefix, END)):
                scores = of.of(sequence, prefix[:place]).double()
                total += float(scores[token] - scores.logsumexp(dim=0))
            found.append((total / penalty(n + 1, alpha), [*prefix, END]))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("alpha", [0.0, 1.5])
def test_a_wide_beam_finds_what_an_enumeration_finds(alpha: float) -> None:
    width = V * END ** (MOST - 1)  # as many continuations as there are in the last step
    of = Table(2, width)
    found = beam_search(of, torch.full((2,), END), END, MOST, width, alpha)
    for sequence in range(2):
        expected = enumerated(of, sequence, alpha)
        n = len(expected)
        assert n == 1 + 3 + 9 + 27
        scores = torch.tensor([score for score, _ in expected])
        torch.testing.assert_close(found.scores[sequence, :n], scores, atol=1e-4, rtol=1e-5)
        assert (found.scores[sequence, n:] == -torch.inf).all()
        said = [row[: row.index(END) + 1] for row in found.tokens[sequence, :n].tolist()]
        assert said == [answer for _, answer in expected]
        assert found.answers()[sequence] == expected[0][1][:-1]


@pytest.mark.parametrize("ends", [-6.0, 0.0, 6.0])
def test_a_beam_of_one_is_greedy(ends: float) -> None:
    """Also where nothing ends in time, and where all end at once."""
    first = torch.full((5,), END)
    one = beam_search(Table(5, 1, ends=ends), first, END, MOST, 1)
    other = greedily(Table(5, 1, ends=ends), first, END, MOST)
    assert one.answers() == other.answers()
    torch.testing.assert_close(one.scores, other.scores)
    lengths = {len(answer) for answer in other.answers()}
    assert (MOST in lengths) if ends < 0 else (lengths == {0} if ends > 0 else True)


@pytest.mark.parametrize("width", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_a_wider_beam_is_no_worse_and_tells_true_scores(width: int) -> None:
    """Of answers that end. A sequence's are its own, whatever else is in the batch."""
    first = torch.full((5,), END)
    of = Table(5, width, ends=1.0)
    found = beam_search(of, first, END, MOST, width)
    narrow = beam_search(Table(5, 1, ends=1.0), first, END, MOST, 1)
    for sequence in range(5):
        scores = {tuple(answer): score for score, answer in enumerated(of, sequence, 0.0)}
        for row, score in zip(found.tokens[sequence].tolist(), found.scores[sequence], strict=True):
            if math.isfinite(score):
                assert scores[tuple(row[: row.index(END) + 1])] == pytest.approx(
                    float(score), abs=1e-4
                )
        if END in narrow.tokens[sequence, 0].tolist():
            assert found.scores[sequence, 0] >= narrow.scores[sequence, 0] - 1e-5
    assert (found.scores.diff(dim=1) <= 0).all()
    alone: Any = Table(1, width, ends=1.0)
    again = beam_search(alone, first[:1], END, MOST, width)
    assert again.answers()[0] == found.answers()[0]
    torch.testing.assert_close(again.scores[0], found.scores[0])


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("ends", [-40.0, 0.0])
def test_a_limit_is_of_its_own_sequence(width: int, ends: float) -> None:
    """Whatever may become longer in the batch."""
    limits = torch.tensor([2, 4, 1, 4, 3])

    def written(of: Table, most: int, limits: Tensor | None = None) -> Written:
        first = torch.full((len(of.sequences) // width,), END)
        if width == 1:
            return greedily(of, first, END, most, limits)
        return beam_search(of, first, END, most, width, 0.7, limits)

    together = written(Table(5, width, ends=ends), MOST, limits)
    found = together.scores.isfinite()  # a beam may find fewer
    assert ((together.tokens != END).sum(dim=-1) <= limits[:, None])[found].all()
    for row, most in enumerate(limits.tolist()):
        table = Table(1, width, ends=ends)
        table.sequences += row
        alone = written(table, most)
        n = alone.tokens.shape[-1]
        assert torch.equal(together.tokens[row, found[row], :n], alone.tokens[0, found[row]])
        torch.testing.assert_close(together.scores[row], alone.scores[0])
