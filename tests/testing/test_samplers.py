"""The judge of samplers, and that ours keep what it asks."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_posenc.positions import Grid, Positions, Randomized, Sequences
from lightning_posenc.testing import Check, check_sampler, sampler_checks
from tests.positions.test_places import SAMPLERS
from tests.testing.planted import assert_broken, named

IN_EVALUATION = {"Randomized"}


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{name}-{check.name}")
        for name, make in SAMPLERS.items()
        for check in sampler_checks(make, random_in_evaluation=name in IN_EVALUATION)
    ],
)
def test_every_promise_is_kept(check: Check) -> None:
    check()


class FromTheEnd(Positions):
    """A stranger's, without fault: how many tokens follow, and some more in training."""

    def bounds(self, length: int) -> tuple[float, float]:
        return 0, length + 8

    def forward(self, sequences: Sequences) -> Tensor:
        index = torch.arange(sequences.length, device=sequences.device)
        lengths = sequences.lengths
        end = sequences.length if lengths is None else lengths.unsqueeze(1)
        follow = (end - 1 - index).clamp(min=0).view(-1, sequences.length)
        return follow + self.more(sequences) if self.training else follow

    def more(self, sequences: Sequences) -> Tensor:
        return torch.randint(9, (sequences.number, 1), device="cpu").to(sequences.device)


class RoundsThem(FromTheEnd):
    def forward(self, sequences: Sequences) -> Tensor:
        return super().forward(sequences).bfloat16()


class GivesOneTooMany(FromTheEnd):
    def forward(self, sequences: Sequences) -> Tensor:
        return torch.arange(sequences.length + 1, device=sequences.device).unsqueeze(0)


class ForgetsTraining(FromTheEnd):
    def bounds(self, length: int) -> tuple[float, float]:
        return 0, length - 1


class StretchesTooFew(FromTheEnd):
    def stretch(self, places: Any) -> Tensor:
        return torch.arange(3)


class DrawsOnTheDevice(FromTheEnd):
    def more(self, sequences: Sequences) -> Tensor:
        return torch.randint(9, (sequences.number, 1), device=sequences.device)


class StaysOnTheCPU(FromTheEnd):
    def forward(self, sequences: Sequences) -> Tensor:
        return torch.arange(sequences.length).unsqueeze(0)


class ReadsValues(FromTheEnd):
    def forward(self, sequences: Sequences) -> Tensor:
        found = super().forward(sequences)
        return found if int(found.sum()) else found + 1


class ReadsTokensInSilence(FromTheEnd):
    def forward(self, sequences: Sequences) -> Tensor:
        found = super().forward(sequences)
        return found if sequences.tokens is None else found + sequences.tokens


class DoesWithoutTokens(ReadsTokensInSilence):
    reads_tokens = True


class HoldsALambda(FromTheEnd):
    def __init__(self) -> None:
        super().__init__()
        self.function = lambda x: x


class EndsInAnIndexError(FromTheEnd):
    def forward(self, sequences: Sequences) -> Tensor:
        return torch.arange(32)[[*range(sequences.length)]].unsqueeze(0).to(sequences.device)


class CountsPadding(FromTheEnd):
    def forward(self, sequences: Sequences) -> Tensor:
        return super().forward(sequences._replace(lengths=None))


class CountsSequences(FromTheEnd):
    def forward(self, sequences: Sequences) -> Tensor:
        return super().forward(sequences) + sequences.number


class AlwaysDraws(FromTheEnd):
    def forward(self, sequences: Sequences) -> Tensor:
        return super().forward(sequences) + self.more(sequences)


FAULTS: dict[type[Positions], str] = {
    RoundsThem: "the_encoder_takes_them",
    GivesOneTooMany: "the_encoder_takes_them",
    ForgetsTraining: "none_lies_beyond_its_bounds",
    StretchesTooFew: "none_lies_beyond_its_bounds",
    DrawsOnTheDevice: "a_seed_means_the_same_on_every_device",
    StaysOnTheCPU: "a_seed_means_the_same_on_every_device",
    ReadsValues: "a_seed_means_the_same_on_every_device",
    ReadsTokensInSilence: "reads_tokens_as_it_says",
    DoesWithoutTokens: "reads_tokens_as_it_says",
    HoldsALambda: "survives_copying",
    EndsInAnIndexError: "any_length_is_served_or_refused",
    CountsPadding: "padding_moves_no_token",
    CountsSequences: "a_row_stands_as_it_would_alone",
    AlwaysDraws: "draws_in_training_alone",
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_breaks_the_promise_that_it_is_against(kind: type[Positions]) -> None:
    assert_broken(sampler_checks(kind), FAULTS[kind])
    named(sampler_checks(FromTheEnd), FAULTS[kind])()


def test_sizes_that_padding_would_change_are_refused() -> None:
    """Found by the judge: a padded row of Grid((2, -1)) had the columns of the longest."""
    told = Sequences(2, 12, torch.device("cpu"), lengths=torch.tensor([12, 8]))
    assert Grid((-1, 4))(told).shape == (1, 12, 2)
    with pytest.raises(ValueError, match=r"Grid: shape=\[2, -1\] has a size that padding would"):
        Grid((2, -1))(told)


def test_every_promise_has_a_fault_against_it() -> None:
    claimed = sampler_checks(FromTheEnd, random_in_evaluation=True)
    assert {check.name for check in sampler_checks(FromTheEnd)} == set(FAULTS.values())
    with pytest.raises(AssertionError, match="the same positions five times"):
        named(claimed, "draws_in_evaluation")()


def test_all_that_is_broken_is_said_at_once() -> None:
    check_sampler(FromTheEnd)
    check_sampler(FromTheEnd())
    with pytest.raises(AssertionError, match=r"^[2-9] broken:\n"):
        check_sampler(AlwaysDraws)
    with pytest.raises(ValueError, match="make a Positions"):
        check_sampler(nn.Linear)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must serve some length from 10 to 64"):
        check_sampler(Randomized(5))
