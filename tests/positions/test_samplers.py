"""What many samplers of positions share; what all do is in tests/testing/test_samplers.py."""

import pytest
import torch

from lightning_posenc.positions import (
    Abacus,
    Consecutive,
    Grid,
    Interpolated,
    Jittered,
    PerDocument,
    PoSE,
    PositionCoupling,
    Positions,
    Randomized,
    Sequences,
    Shifted,
)
from tests.positions.texts import ids

CPU = torch.device("cpu")
DOCUMENTS = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 2], [5, 5, 5, 5, 5, 5, 5, 5]])
RESTARTED = [[0, 1, 2, 0, 1, 2, 3, 0], [0, 1, 2, 3, 4, 5, 6, 7]]


@pytest.mark.parametrize(
    "positions",
    [
        Consecutive(),
        PerDocument(),
        Randomized(64),
        PoSE(64),
        Shifted(),
        Interpolated(6),
        Grid((2, 3)),
        Abacus(),
        PositionCoupling(),
    ],
)
def test_positions_are_whole_numbers(positions: Positions) -> None:
    documents = torch.zeros(2, 6, dtype=torch.long)
    assert (
        positions(Sequences(2, 6, CPU, documents, tokens=ids("1+2=3 ", "1+1=2 "))).dtype
        == torch.int64
    )


STOCHASTIC = [
    Shifted(1000),
    Shifted(1000, per_sequence=False),
    Jittered(),
    PoSE(1000),
    Abacus(max_offset=1000),
    Abacus(max_offset=1000, per_sequence=True),
    PositionCoupling(max_position=1000),
]


@pytest.mark.parametrize("positions", STOCHASTIC, ids=lambda sampler: type(sampler).__name__)
def test_every_forward_of_training_draws_anew(positions: Positions) -> None:
    told = Sequences(2, 10, CPU, tokens=ids("653+49=207", "1+23=42   "))
    assert not torch.equal(positions.train()(told), positions(told))


@pytest.mark.parametrize("make", [Shifted, Jittered, lambda of: Interpolated(8, of=of)])
def test_composes_with_restarts_at_documents(make: type[Shifted]) -> None:
    positions = make(of=PerDocument()).eval()
    assert positions(Sequences(2, 8, CPU, DOCUMENTS)).tolist() == RESTARTED
    drawn = positions.train()(Sequences(2, 8, CPU, DOCUMENTS)).float()
    same = torch.tensor(RESTARTED).unsqueeze(2) < torch.tensor(RESTARTED).unsqueeze(1)
    same &= DOCUMENTS.unsqueeze(2) == DOCUMENTS.unsqueeze(1)
    assert (drawn.unsqueeze(2) < drawn.unsqueeze(1))[same].all()  # still rising in each document


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Shifted(-1), "max_shift=-1 must be at least 0"),
        (lambda: Jittered(max_local_shift=-1.0), "max_local_shift=-1.0 must be a number"),
        (lambda: Jittered(max_global_scaling=0.5), "max_global_scaling=0.5 must be a number"),
        (lambda: Interpolated(0), "trained_length=0 must be at least 1"),
        (lambda: Interpolated(4, of=Grid())(Sequences(1, 16, CPU)), "Grid gives positions on axes"),
        (lambda: Grid((4,)), "two positive sizes or more"),
        (lambda: Grid((-1, -1)), "one may be -1"),
        (lambda: Grid((0, 4)), "two positive sizes"),
        (
            lambda: Grid((2, 4))(Sequences(1, 9, CPU)),
            r"9 tokens do not fill a grid of shape=\[2, 4\]; give 8",
        ),
        (lambda: Grid((2, 4))(Sequences(1, 16, CPU)), "give 8 tokens"),
        (lambda: Grid((-1, 4))(Sequences(1, 9, CPU)), "give a multiple of 4 tokens"),
        (lambda: Abacus(()), "must name at least one"),
        (lambda: Abacus(max_offset=-1), "max_offset=-1 must be at least 0"),
        (lambda: PositionCoupling(equals=10), "must be different tokens"),
        (
            lambda: PositionCoupling(max_position=3)(Sequences(1, 3, CPU, tokens=ids("123"))),
            "a number needs position 4, beyond max_position=3",
        ),
    ],
)
def test_errors_say_what_is_wrong(make: type[Positions], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
