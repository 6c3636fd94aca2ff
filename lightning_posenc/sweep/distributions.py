"""The distributions that W&B documents for a sweep's parameter, each as its quantile function.

`quantile(u)` is the value below which a share u of the distribution lies. Uniform numbers become
draws by it, and a search that works on 0..1 sees every distribution alike.
"""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any, NamedTuple

REQUIRED = object()
EDGE = 1e-12  # an unbounded distribution has no value at 0 and 1


class Distribution(NamedTuple):
    """A family of distributions.

    Args:
        fields: Its keys in the file, with their defaults or REQUIRED.
        quantile: Value at u in 0..1, given the fields.
        positive: Fields that must be above 0.
    """

    fields: dict[str, Any]
    quantile: Callable[..., float]
    positive: tuple[str, ...] = ()


def _uniform(u: float, min: float, max: float) -> float:
    return min + u * (max - min)


def _int_uniform(u: float, min: int, max: int) -> int:
    return min + index_at(u, max - min + 1)


def _log_uniform(u: float, min: float, max: float) -> float:
    """Both bounds are natural logarithms."""
    return math.exp(_uniform(u, min, max))


def _log_uniform_values(u: float, min: float, max: float) -> float:
    return _log_uniform(u, math.log(min), math.log(max))


def _inv_log_uniform(u: float, min: float, max: float) -> float:
    """log(1/X) is uniform between min and max."""
    return math.exp(-_uniform(1 - u, min, max))


def _inv_log_uniform_values(u: float, min: float, max: float) -> float:
    return _inv_log_uniform(u, -math.log(max), -math.log(min))


def _normal(u: float, mu: float, sigma: float) -> float:
    u = min(max(u, EDGE), 1 - EDGE)
    return mu + sigma * NormalDist().inv_cdf(u)


def _log_normal(u: float, mu: float, sigma: float) -> float:
    return math.exp(_normal(u, mu, sigma))


def _beta(u: float, a: float, b: float) -> float:
    from scipy.special import betaincinv

    return float(betaincinv(a, b, u))


def _quantized(quantile: Callable[..., float]) -> Callable[..., float]:
    """round(X / q) · q; whole numbers if q is one."""

    def rounded(u: float, q: float, **fields: Any) -> float:
        return round(quantile(u, **fields) / q) * q

    return rounded


def index_at(u: float, n: int) -> int:
    """Which of n equally likely ones lies at u: 0 to n - 1."""
    return min(max(math.ceil(u * n) - 1, 0), n - 1)


_BOUNDS = {"min": REQUIRED, "max": REQUIRED}
_NORMAL = {"mu": 0.0, "sigma": 1.0}
_BETA = {"a": 1.0, "b": 1.0}

_PLAIN = {
    "uniform": Distribution(_BOUNDS, _uniform),
    "log_uniform": Distribution(_BOUNDS, _log_uniform),
    "log_uniform_values": Distribution(_BOUNDS, _log_uniform_values, ("min",)),
    "normal": Distribution(_NORMAL, _normal),
    "log_normal": Distribution(_NORMAL, _log_normal),
    "beta": Distribution(_BETA, _beta, ("a", "b")),
}
DISTRIBUTIONS = {
    **_PLAIN,
    "int_uniform": Distribution(_BOUNDS, _int_uniform),
    "inv_log_uniform": Distribution(_BOUNDS, _inv_log_uniform),
    "inv_log_uniform_values": Distribution(_BOUNDS, _inv_log_uniform_values, ("min",)),
    **{
        f"q_{name}": Distribution(
            {**plain.fields, "q": 1.0}, _quantized(plain.quantile), (*plain.positive, "q")
        )
        for name, plain in _PLAIN.items()
    },
}
