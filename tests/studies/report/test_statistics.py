"""Intervals, paired tests and Holm's correction against other sources."""

import math

import pytest
from scipy import stats

from lightning_posenc.studies.report.statistics import estimate, holm, paired


def test_interval_by_hand() -> None:
    # Mean 3, standard deviation sqrt(2.5), t of 4 degrees of freedom 2.776445.
    found = estimate([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found.mean == 3
    assert found.half == pytest.approx(2.776445 * math.sqrt(2.5 / 5), rel=1e-6)
    assert found.n == 5


def test_interval_as_scipy_has_it() -> None:
    values = [0.91, 0.97, 0.94]
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = estimate(values)
    assert found.half is not None
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high))


def test_one_seed_has_no_interval_and_none_no_mean() -> None:
    assert estimate([0.5]) == (0.5, None, 1)
    assert math.isnan(estimate([]).mean)


def test_pairs_are_found_by_seed() -> None:
    first = {"0": 1.0, "1": 2.0, "2": 4.0, "7": 100.0}
    second = {"2": 3.5, "1": 1.0, "0": 0.8, "9": -100.0}
    found = paired(first, second)
    expected = stats.ttest_rel([1.0, 2.0, 4.0], [0.8, 1.0, 3.5])
    assert found.n == 3
    assert found.difference == pytest.approx((0.2 + 1.0 + 0.5) / 3)
    assert found.p == pytest.approx(expected.pvalue)
    # The pairing matters: unpaired, the same numbers say nothing.
    assert stats.ttest_ind([1.0, 2.0, 4.0], [0.8, 1.0, 3.5]).pvalue > 0.6 > 0.2 > found.p


def test_too_few_pairs_are_not_tested() -> None:
    assert paired({"0": 1.0}, {"0": 0.5}) == (0.5, None, 1)
    found = paired({"0": 1.0}, {"1": 0.5})
    assert found.p is None
    assert found.n == 0


@pytest.mark.parametrize(("second", "p"), [(1.0, 1.0), (0.25, 0.0)])
def test_differences_that_are_all_alike(second: float, p: float) -> None:
    """scipy warns and returns NaN or noise there; warnings are errors in these tests."""
    assert paired({"0": 1.0, "1": 1.0}, {"0": second, "1": second}).p == p


def test_holm_on_a_worked_example() -> None:
    # Holm's procedure on p = .01, .04, .03, .005: 4 x .005, 3 x .01, 2 x .03, then .04 after .06.
    given = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}
    assert holm(given) == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"x": 0.7, "y": 0.6}) == {"y": 1.0, "x": 1.0}
    assert holm({}) == {}
