"""The judge of tasks: whoever breaks a promise is told which, and whoever keeps all passes."""

from typing import Any

import pytest
import torch

from lightning_posenc.tasks import Draws, Sample, Task
from lightning_posenc.tasks.bounds.mode import expected_mode
from lightning_posenc.testing import check_task, task_checks
from tests.testing.planted import assert_broken, named


class First(Task):
    """A stranger's, without fault: which symbol came first?"""

    kind = "sequence"
    min_length = 2

    def __init__(self) -> None:
        self.vocab_size = self.n_classes = 8

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        tokens = draws.integers(0, 8, length)
        return Sample(tokens, tokens[:, 0])

    def bag_of_tokens_bound(self, length: int) -> float:
        self.check_length(length)
        return expected_mode(length, 8) / length


def solver(task: Task, tokens: list[int], target: int) -> None:
    assert target == tokens[0]


class SaysTheLast(First):
    def sample(self, draws: Draws, length: int) -> Sample:
        return Sample(tokens := super().sample(draws, length).tokens, tokens[:, -1])


class BoundTooLow(First):
    def bag_of_tokens_bound(self, length: int) -> float:
        self.check_length(length)
        return 1 / 8


class BoundBelowChance(First):
    def bag_of_tokens_bound(self, length: int) -> float:
        self.check_length(length)
        return 0.1


class MoreWords(First):
    def __init__(self) -> None:
        super().__init__()
        self.vocab_size = 9


class ReadsItsNeighbours(First):
    def sample(self, draws: Draws, length: int) -> Sample:
        sample = super().sample(draws, length)
        return sample._replace(tokens=sample.tokens.roll(1, dims=0))


class DrawsItsOwn(First):
    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        tokens = torch.randint(0, 8, (len(super().sample(draws, length).tokens), length))
        return Sample(tokens, tokens[:, 0])


class TakesAnyLength(First):
    def check_length(self, length: int) -> None:
        """Refuse nothing."""


class GivesFloats(First):
    def sample(self, draws: Draws, length: int) -> Sample:
        sample = super().sample(draws, length)
        return sample._replace(tokens=sample.tokens.float())


class AlwaysTheSame(First):
    def sample(self, draws: Draws, length: int) -> Sample:
        tokens = super().sample(draws, length).tokens
        tokens = torch.arange(length).remainder(8).expand_as(tokens)
        return Sample(tokens, tokens[:, 0])


class HoldsALambda(First):
    def __init__(self) -> None:
        super().__init__()
        self.function = lambda x: x


FAULTS: dict[type[Task], str] = {
    SaysTheLast: "answers_are_those_of_the_solver",
    BoundTooLow: "no_bag_of_tokens_beats_the_bound",
    BoundBelowChance: "bound_lies_between_chance_and_certainty",
    MoreWords: "every_token_and_every_class_occurs_and_no_other",
    ReadsItsNeighbours: "a_sample_depends_on_its_own_number_alone",
    DrawsItsOwn: "a_sample_depends_on_its_own_number_alone",
    TakesAnyLength: "too_short_is_refused",
    GivesFloats: "shapes_and_types",
    AlwaysTheSame: "seeds_splits_and_numbers_differ",
    HoldsALambda: "survives_pickling",
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_breaks_the_promise_that_it_is_against(kind: type[Task]) -> None:
    assert_broken(task_checks(kind, solver), FAULTS[kind])
    named(task_checks(First, solver), FAULTS[kind])()


def test_a_solver_that_agrees_to_all_is_told_of() -> None:
    def content(*_: Any) -> None:
        """Find no fault."""

    with pytest.raises(AssertionError, match="the solver can tell"):
        check_task(First, content)


def test_who_is_without_fault_passes_and_others_are_told_all() -> None:
    check_task(First(), solver)
    with pytest.raises(AssertionError, match=r"^3 broken:\n"):
        check_task(BoundBelowChance, content_of_wrong)
    with pytest.raises(ValueError, match=r"check_task: make=.* must be a Task"):
        check_task(object)  # type: ignore[arg-type]


def content_of_wrong(task: Task, tokens: list[int], target: int) -> None:
    assert target in tokens
