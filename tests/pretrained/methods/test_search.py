"""The search for factors: monotone, the same for a seed, and taken up where it was."""

import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lightning_posenc.pretrained.evaluating.losses import losses
from lightning_posenc.pretrained.methods import PI, SearchedLongRoPE, Yarn
from lightning_posenc.pretrained.methods.search import BEYOND, search
from tests.pretrained.methods.models import TRAINED, tiny, tokens

FACTOR = 4.0
BEST = torch.tensor([1.0, 1.2, 2.5, 2.7, 3.9, 4.0])
STARTS = [torch.ones(6), torch.full((6,), FACTOR), torch.linspace(1, FACTOR, 6)]


class Score:
    """The squared distance from known factors; remembers what it was asked."""

    def __init__(self, most: int | None = None) -> None:
        self.asked: list[Tensor] = []
        self.most = most

    def __call__(self, factors: Tensor) -> float:
        if len(self.asked) == self.most:
            raise KeyboardInterrupt
        self.asked.append(factors)
        return float((factors - BEST).square().sum())


def test_every_candidate_is_monotone_and_no_one_is_asked_twice() -> None:
    score = Score()
    found = search(score, STARTS, FACTOR, 200)
    assert found.scored == len(score.asked) == 200
    assert len({tuple(each.tolist()) for each in score.asked}) == 200
    for each in score.asked:
        assert (each.diff() >= 0).all()
        assert each.min() >= 1
        assert each.max() <= BEYOND * FACTOR + 1e-9
    for asked, start in zip(score.asked, STARTS, strict=False):
        torch.testing.assert_close(asked, start.double(), atol=0.006, rtol=0)


def test_it_finds_better_factors_than_those_it_starts_from() -> None:
    score = Score()
    found = search(score, STARTS, FACTOR, 300)
    of_starts = min(Score()(start.double()) for start in STARTS)
    assert found.loss < of_starts / 3
    assert found.loss == min(Score()(each) for each in score.asked)


def test_a_seed_means_one_search() -> None:
    one, same, other = (Score() for _ in range(3))
    for score, seed in ((one, 3), (same, 3), (other, 4)):
        search(score, STARTS, FACTOR, 30, seed)
    assert all(torch.equal(a, b) for a, b in zip(one.asked, same.asked, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one.asked, other.asked, strict=True))


def test_a_stopped_search_goes_on_where_it_was(tmp_path: Path) -> None:
    memory = tmp_path / "search.json"
    whole = Score()
    expected = search(whole, STARTS, FACTOR, 30)
    stopped, rest = Score(most=12), Score()
    with pytest.raises(KeyboardInterrupt):
        search(stopped, STARTS, FACTOR, 30, memory=memory)
    found = search(rest, STARTS, FACTOR, 30, memory=memory)
    assert len(stopped.asked) + len(rest.asked) == 30
    assert torch.equal(found.factors, expected.factors)
    for a, b in zip(itertools.chain(stopped.asked, rest.asked), whole.asked, strict=True):
        assert torch.equal(a, b)
    with pytest.raises(ValueError, match="holds another search: remove it"):
        search(Score(), STARTS, FACTOR, 30, seed=1, memory=memory)


def test_a_loss_that_is_none_is_the_worst(tmp_path: Path) -> None:
    def score(factors: Tensor) -> float:
        return float("nan") if factors[0] == 1 and factors[-1] == 1 else float(factors[-1])

    for _ in range(2):  # the second time from memory, where NaN is null
        found = search(score, STARTS, FACTOR, 6, memory=tmp_path / "search.json")
        assert found.factors[-1] > 1


def test_few_candidates_end_the_search() -> None:
    assert 20 < search(lambda factors: 0.0, [torch.ones(1)], 1.0, 10**6).scored <= 26


def test_longrope_is_searched_on_a_text_and_beats_its_starts(tmp_path: Path) -> None:
    pretrained, to = tiny("llama"), 2 * TRAINED
    ids = tokens(to, 2)
    method = SearchedLongRoPE(evaluations=12)
    with pytest.raises(ValueError, match="not searched for yet"), method.applied(pretrained, to):
        pass
    found = method.fitted(pretrained, to, ids, tmp_path / "search.json")
    assert found.factors is not None

    def loss(by: SearchedLongRoPE) -> float:
        with by.applied(pretrained, to):
            return float(losses(pretrained, ids).mean())

    by_interpolation = SearchedLongRoPE([to / TRAINED] * 4)
    assert loss(found) <= loss(by_interpolation)
    assert (tmp_path / "search.json").is_file()
    again = method.fitted(pretrained, to, ids, tmp_path / "search.json")
    assert again.factors == found.factors
    assert Yarn().fitted(pretrained, to, ids) is not None
    assert PI().fitted(pretrained, to, ids).name == "pi"
