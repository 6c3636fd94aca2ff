"""Every distribution against scipy's quantile functions, composed as W&B documents them."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from lightning_posenc.sweep.distributions import DISTRIBUTIONS
from lightning_posenc.sweep.parameters import Choice, parse

SHARES = np.random.default_rng(0).uniform(size=200)
UNIFORM = {"min": -1.5, "max": 2.0}
POSITIVE = {"min": 0.01, "max": 50.0}
GAUSS = {"mu": 0.5, "sigma": 2.0}

# Of exponents, of limits: a uniform variable, whose exponential or inverse exponential it is.
EXPONENT = stats.uniform(-1.5, 3.5)
LIMIT = stats.uniform(math.log(0.01), math.log(50.0) - math.log(0.01))

PLAIN: dict[str, tuple[dict[str, float], Callable[[Any], Any]]] = {
    "uniform": (UNIFORM, stats.uniform(-1.5, 3.5).ppf),
    "log_uniform": (UNIFORM, lambda u: np.exp(EXPONENT.ppf(u))),
    "log_uniform_values": (POSITIVE, stats.loguniform(0.01, 50.0).ppf),
    "normal": (GAUSS, stats.norm(0.5, 2.0).ppf),
    "log_normal": (GAUSS, stats.lognorm(s=2.0, scale=math.exp(0.5)).ppf),
    "beta": ({"a": 2.0, "b": 0.7}, stats.beta(2.0, 0.7).ppf),
}
OTHERS = {
    "int_uniform": ({"min": -2, "max": 4}, stats.randint(-2, 5).ppf),
    # log(1/X) is uniform between min and max, and between log(1/max) and log(1/min).
    "inv_log_uniform": (UNIFORM, lambda u: 1 / np.exp(EXPONENT.ppf(1 - u))),
    "inv_log_uniform_values": (POSITIVE, lambda u: 1 / np.exp(-LIMIT.ppf(u))),
}


@pytest.mark.parametrize(("name", "case"), [*PLAIN.items(), *OTHERS.items()])
def test_quantiles_are_scipys(
    name: str, case: tuple[dict[str, float], Callable[[Any], Any]]
) -> None:
    fields, expected = case
    (parameter,) = parse({"x": {"distribution": name, **fields}})
    ours = [parameter.quantile(u) for u in SHARES.tolist()]
    assert np.allclose(ours, expected(SHARES), rtol=1e-7)
    assert {type(value) for value in ours} == {int if name == "int_uniform" else float}


@pytest.mark.parametrize("q", [0.25, 2])
@pytest.mark.parametrize("name", PLAIN)
def test_quantised_ones_are_multiples(name: str, q: float) -> None:
    fields, expected = PLAIN[name]
    (parameter,) = parse({"x": {"distribution": f"q_{name}", "q": q, **fields}})
    ours = [parameter.quantile(u) for u in SHARES.tolist()]
    assert np.allclose(ours, np.round(expected(SHARES) / q) * q, rtol=1e-7)
    assert {type(value) for value in ours} == {type(q)}


def test_none_is_left_out() -> None:
    assert set(DISTRIBUTIONS) == {*PLAIN, *(f"q_{name}" for name in PLAIN), *OTHERS}


def test_choices_come_as_often_as_they_should() -> None:
    (even,) = parse({"x": {"values": ["a", "b", "c"]}})
    (uneven,) = parse({"x": {"values": ["a", "b", "c"], "probabilities": [0.5, 0.0, 0.5]}})
    shares = [(i + 0.5) / 999 for i in range(999)]
    assert [[p.quantile(u) for u in shares].count("b") for p in (even, uneven)] == [333, 0]
    assert [uneven.quantile(u) for u in (0.0, 0.499, 0.5, 1.0)] == ["a", "a", "c", "c"]


def test_a_grid_holds_what_w_and_bs_grid_holds() -> None:
    whole, stepped, loaded = parse(
        {
            "whole": {"min": 1, "max": 3},
            "stepped": {"distribution": "q_uniform", "min": 0.0, "max": 1.0, "q": 0.25},
            "loaded": {"values": [1], "probabilities": [1.0]},
        }
    )
    assert whole.choices == [1, 2, 3]
    assert stepped.choices == np.arange(0.0, 1.0, 0.25).tolist()
    assert isinstance(loaded, Choice)
    assert loaded.choices is None
