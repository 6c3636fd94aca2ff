"""Intervals, paired tests and Holm's correction against other sources."""

import math
import random

import numpy as np
import pytest
from scipy import stats

from lightning_posenc.report.results import results_of
from lightning_posenc.report.statistics import LEVEL, estimate, holm, needed, paired


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
    one = paired({"0": 1.0}, {"0": 0.5})
    assert (one.difference, one.half, one.p, one.n) == (0.5, None, None, 1)
    assert "3 are needed" in one.untested
    two = paired({"0": 1.0, "1": 0.9}, {"0": 0.5, "1": 0.5})
    assert two.p is None
    assert two.half is not None
    none = paired({"0": 1.0}, {"1": 0.5})
    assert (none.p, none.n, none.untested) == (None, 0, "no common seed")


@pytest.mark.parametrize("second", [1.0, 0.25, 1 - 1 / 256])
def test_differences_that_are_all_alike_are_no_test(second: float) -> None:
    """C2: ties are common where accuracies are multiples of 1/N, and were taken for p = 0."""
    found = paired(dict.fromkeys("01234", 1.0), dict.fromkeys("01234", second))
    assert found.p is None
    assert "alike" in found.untested
    assert found.difference == 1 - second


def test_the_interval_of_a_difference() -> None:
    first, second = [0.91, 0.97, 0.94], [0.80, 0.90, 0.79]
    differences = [a - b for a, b in zip(first, second, strict=True)]
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    found = paired(dict(zip("012", first, strict=True)), dict(zip("012", second, strict=True)))
    assert found.half is not None
    mean = found.difference
    assert (mean - found.half, mean + found.half) == pytest.approx((low, high))


def test_the_scatter_of_the_other_rows_counts() -> None:
    """Three rows whose seeds solve the task or do not: two of them are no proof for each other."""
    lucky = {"0": 0.99, "1": 0.985, "2": 0.99}
    unlucky = {"0": 0.25, "1": 0.255, "2": 0.251}
    third = {"0": 0.99, "1": 0.25, "2": 0.26}
    alone = paired(lucky, unlucky)
    assert alone.p == pytest.approx(stats.ttest_rel([*lucky.values()], [*unlucky.values()]).pvalue)
    found = paired(lucky, unlucky, [third, {"0": 0.1}])  # the last has not all the seeds
    table = np.array([[*row.values()] for row in (lucky, unlucky, third)])
    residuals = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    error = math.sqrt(2 * (residuals**2).sum() / 4 / 3)  # 2 x 2 degrees of freedom, 3 seeds
    assert found.p == pytest.approx(2 * stats.t.sf(found.difference / error, 4))
    assert found.p is not None
    assert alone.p is not None
    assert found.p > 0.01 > alone.p


@pytest.mark.parametrize(("seeds", "solves"), [(2, False), (3, False), (3, True), (5, False)])
def test_equal_models_are_seldom_called_different(seeds: int, solves: bool) -> None:
    """C2: seven rows against a baseline and the best against the second, accuracies of 256 samples;
    `benchmarks/false_alarms.py` has more tables of more kinds."""
    dice = np.random.default_rng(seeds)
    rows = [str(row) for row in range(8)]
    wrong, tables = 0, 200
    for _ in range(tables):
        rate = np.where(dice.random((8, seeds)) < 0.5, 0.99, 0.25) if solves else 0.9
        accuracy = dice.binomial(256, rate, (8, seeds)) / 256
        values = {
            (row, "task"): {str(seed): float(x) for seed, x in enumerate(line)}
            for row, line in zip(rows, accuracy, strict=True)
        }
        wrong += any(
            each.significant for each in results_of(values, rows, ["task"], True).comparisons
        )
    # 95 of 100 such counts would be at most this, were the rate just LEVEL.
    assert wrong <= stats.binom.ppf(0.95, tables, LEVEL)


def test_a_real_difference_is_found() -> None:
    """The control of the test above: it is not passed by finding nothing."""
    dice = random.Random(0)
    values = {
        (str(row), "task"): {str(seed): (0.6 if row else 0.5) + dice.gauss(0, 0.01)
                             for seed in range(5)}
        for row in range(8)
    }  # fmt: skip
    results = results_of(values, [str(row) for row in range(8)], ["task"], True)
    assert all(results.against_baseline(str(row), "task", "0") == 1 for row in range(1, 8))


def test_how_far_a_difference_must_be() -> None:
    assert needed(1, 5) == pytest.approx(2.776445, rel=1e-6)
    assert needed(8, 3) == pytest.approx(stats.t.ppf(1 - 0.05 / 16, 2))


def test_holm_on_a_worked_example() -> None:
    # Holm's procedure on p = .01, .04, .03, .005: 4 x .005, 3 x .01, 2 x .03, then .04 after .06.
    given = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}
    assert holm(given) == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"x": 0.7, "y": 0.6}) == {"y": 1.0, "x": 1.0}
    assert holm({}) == {}
