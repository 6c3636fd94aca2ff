"""The largest length at which a model still does its work."""

import pytest

from lightning_posenc.diagnostics.measures.effective_length import effective_length, learned


@pytest.mark.parametrize(
    ("scores", "trained", "expected"),
    [
        ({20: 1.0, 40: 0.95, 60: 0.9, 80: 0.89}, (20, 20), (60, 0.9)),
        ({10: 0.8, 20: 1.0, 40: 0.82, 80: 0.8}, (1, 20), (40, 0.81)),  # mean of what was trained
        ({16: 0.2, 32: 1.0, 64: 0.5}, (32, 32), (32, 0.9)),  # shorter was not trained
        ({16: 0.5, 64: 0.48, 128: 0.1}, (32, 40), (64, 0.45)),  # nothing trained was tested
        ({64: 1.0, 128: 1.0}, (32, 32), (None, None)),  # nothing that tells what is good
    ],
)
def test_effective_length(
    scores: dict[int, float],
    trained: tuple[int, int],
    expected: tuple[int | None, float | None],
) -> None:
    length, wanted = effective_length(scores, trained)
    assert length == expected[0]
    assert wanted == (None if expected[1] is None else pytest.approx(expected[1]))


@pytest.mark.parametrize(
    ("accuracy", "bounds", "has"),
    [
        ({16: 1.0, 32: 0.3}, {16: 0.2, 32: 0.1}, True),
        ({16: 0.21, 32: 0.20}, {16: 0.2, 32: 0.1}, False),  # at the bound, and no better beyond
        ({16: 0.27, 32: 0.27}, {16: 0.2, 32: 0.1}, False),  # less than a tenth of the way
        ({16: 0.29, 32: 0.1}, {16: 0.2, 32: 0.1}, True),
        ({8: 0.2, 16: 0.2}, {8: 0.2, 16: 0.2, 99: 0.0}, False),
        ({16: 0.1}, {}, True),  # nobody knows
        ({16: 0.1}, {32: 0.5}, True),
        ({16: 1.0}, {16: 1.0}, True),  # nothing to be learned
    ],
)
def test_who_has_learned_nothing(
    accuracy: dict[int, float], bounds: dict[int, float], has: bool
) -> None:
    """F-H: ALiBi near the bound had the effective length "≥ 32", the solved table 16."""
    assert learned(accuracy, (16, 16), bounds) is has
