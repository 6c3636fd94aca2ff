"""The largest length at which a model still does its work."""

import pytest

from lightning_posenc.effective_length import effective_length


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
