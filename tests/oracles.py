"""What every encoding adds, transcribed from its equation in float64, pair by pair.

Plain loops over numpy arrays, no line shared with the package. An oracle is a function
`(given, **hyperparameters) -> Result`; what it leaves None the method does not touch.

Shapes: B sequences, T queries, S keys, H heads, G key-value heads, K channels of a head, D = H·K.
"""

import cmath
import math
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]


class Given(NamedTuple):
    """What an encoding is told in one layer, and its parameters by name."""

    layer: int
    causal: bool
    x: Array  # (B, T, D), the residual stream and the input of the attention alike
    q: Array  # (B, H, T, K)
    k: Array  # (B, G, S, K)
    q_pos: Array  # (B, T)
    k_pos: Array  # (B, S)
    logits: Array  # (B, H, T, S), -inf where hidden
    parameters: dict[str, Array]


class Result(NamedTuple):
    """What comes of it."""

    x: Array | None = None
    q: Array | None = None
    k: Array | None = None
    bias: Array | None = None  # (B, H, T, S)
    logits: Array | None = None


Oracle: TypeAlias = Callable[[Given], Result]


def nothing(given: Given) -> Result:
    """NoPE."""
    return Result()


def sinusoidal(
    given: Given, base: float = 10000.0, layers: tuple[int, ...] = (0,), scale: float = 1.0
) -> Result:
    """Vaswani et al. 2017, section 3.5."""
    if given.layer not in layers:
        return Result()
    x = given.x.copy()
    width = x.shape[-1]
    for b, t, channel in np.ndindex(x.shape):
        angle = given.q_pos[b, t] / base ** (channel // 2 * 2 / width)
        x[b, t, channel] += scale * (math.cos(angle) if channel % 2 else math.sin(angle))
    return Result(x=x)


def learned_absolute(given: Given, layers: tuple[int, ...] = (0,)) -> Result:
    """Gehring et al. 2017; between two whole positions, on the line between their rows."""
    if given.layer not in layers:
        return Result()
    x = given.x.copy()
    table = given.parameters["table"]
    for b, t in np.ndindex(x.shape[:2]):
        low = math.floor(given.q_pos[b, t])
        share = given.q_pos[b, t] - low
        x[b, t] += (1 - share) * table[low]
        if share:
            x[b, t] += share * table[low + 1]
    return Result(x=x)


def rope(given: Given, base: float = 10000.0, layout: str = "half") -> Result:
    """Su et al. 2021, equations 14-16: multiplication by exp(i·p·theta) in the complex plane."""

    def turned(x: Array, positions: Array) -> Array:
        result = x.copy()
        n_pairs = x.shape[-1] // 2
        for b, h, t, pair in np.ndindex(*x.shape[:3], n_pairs):
            one, other = (pair, pair + n_pairs) if layout == "half" else (2 * pair, 2 * pair + 1)
            angle = positions[b, t] * base ** (-pair / n_pairs)
            z = complex(x[b, h, t, one], x[b, h, t, other]) * cmath.exp(1j * angle)
            result[b, h, t, one], result[b, h, t, other] = z.real, z.imag
        return result

    return Result(q=turned(given.q, given.q_pos), k=turned(given.k, given.k_pos))


def alibi(given: Given, form: str | None = None) -> Result:
    """Press et al. 2022, section 3; two-sided: the future has the mirrored head's slope."""
    n_heads = given.q.shape[1]
    form = form or ("symmetric" if given.causal else "two_sided")

    def entry(h: int, delta: float) -> float:
        mirrored = form == "two_sided" and delta < 0
        slopes = alibi_slopes(n_heads)
        return -slopes[n_heads - 1 - h if mirrored else h] * abs(delta)

    return Result(bias=_pairs(given, entry))


def alibi_slopes(n_heads: int) -> list[float]:
    """The recursion of the authors' code: a power of two, then every other slope of the next."""
    if n_heads & (n_heads - 1) == 0:
        ratio = 2.0 ** (-8.0 / n_heads)
        return [ratio ** (h + 1) for h in range(n_heads)]
    power = 1 << (n_heads.bit_length() - 1)
    return alibi_slopes(power) + alibi_slopes(2 * power)[::2][: n_heads - power]


def learned_relative_bias(given: Given, max_distance: int) -> Result:
    """Shaw et al. 2018 with scalars: b_h[clip(delta)]."""
    table = _of_layer(given.parameters["table"], given.layer, n_axes=2)

    def entry(h: int, delta: float) -> float:
        return table[h, max(-max_distance, min(max_distance, round(delta))) + max_distance]

    return Result(bias=_pairs(given, entry))


def t5(given: Given, n_buckets: int, max_distance: int) -> Result:
    """Raffel et al. 2020, section 2.1, with the buckets of `t5_bucket`."""
    table = _of_layer(given.parameters["table"], given.layer, n_axes=2)

    def entry(h: int, delta: float) -> float:
        return table[h, t5_bucket(delta, n_buckets, max_distance, given.causal)]

    return Result(bias=_pairs(given, entry))


def t5_bucket(delta: float, n_buckets: int, max_distance: int, causal: bool) -> int:
    """Raffel et al. 2020, in exact arithmetic.

    floor(n · ln(d/e) / ln(M/e)) is the largest m with (d/e)^n >= (M/e)^m, a comparison of rational
    numbers, where a logarithm would have to be rounded just at a bucket's edge.
    """
    side, offset, distance = n_buckets, 0, Fraction(max(delta, 0))
    if not causal:
        side, distance = n_buckets // 2, Fraction(abs(delta))
        offset = side if delta < 0 else 0
    exact = side // 2
    if distance < exact:
        return offset + math.floor(distance)
    bucket = exact
    while bucket < side - 1 and (distance / exact) ** (side - exact) >= Fraction(
        max_distance, exact
    ) ** (bucket + 1 - exact):
        bucket += 1
    return offset + bucket


def shaw(given: Given, max_distance: int) -> Result:
    """Shaw et al. 2018, equation 5 without its first term: q_i · a[clip(j - i)] / sqrt(K)."""
    table = given.parameters["table"]
    table = table[given.layer if len(table) > 1 else 0]
    batch, n_heads, n_queries, width = given.q.shape
    bias = np.zeros((batch, n_heads, n_queries, given.k_pos.shape[1]))
    for b, h, i, j in np.ndindex(bias.shape):
        offset = round(float(given.k_pos[b, j] - given.q_pos[b, i]))
        row = table[max(-max_distance, min(max_distance, offset)) + max_distance]
        bias[b, h, i, j] = sum(given.q[b, h, i] * row) / math.sqrt(width)
    return Result(bias=bias)


def chain(*parts: Oracle) -> Oracle:
    """One after the other; biases are summed and look at the untouched queries and keys."""

    def oracle(given: Given) -> Result:
        now, bias = given, None
        for index, part in enumerate(parts):
            parameters = _of_part(given.parameters, index)
            added = part(now._replace(parameters=parameters))
            now = now._replace(
                **{
                    name: value
                    for name, value in added._asdict().items()
                    if value is not None and name != "bias"
                }
            )
            term = part(given._replace(parameters=parameters)).bias
            if term is not None:
                bias = term if bias is None else bias + term
        return Result(now.x, now.q, now.k, bias, now.logits)

    return oracle


def per_layer(*pattern: Oracle) -> Oracle:
    """Layer l takes entry l mod n, which counts its own layers from 0."""

    def oracle(given: Given) -> Result:
        local, index = divmod(given.layer, len(pattern))
        parameters = _of_part(given.parameters, index)
        return pattern[index](given._replace(layer=local, parameters=parameters))

    return oracle


def _pairs(given: Given, entry: Callable[[int, float], float]) -> Array:
    """A bias from one function of the head and of query position minus key position."""
    bias = np.zeros((*given.q.shape[:3], given.k_pos.shape[1]))
    for b, h, i, j in np.ndindex(bias.shape):
        bias[b, h, i, j] = entry(h, float(given.q_pos[b, i] - given.k_pos[b, j]))
    return bias


def _of_layer(table: Array, layer: int, n_axes: int) -> Array:
    """The layer's own table, or the one that all layers share."""
    return table[layer] if table.ndim > n_axes else table


def _of_part(parameters: dict[str, Array], index: int) -> dict[str, Array]:
    prefix = f"parts.{index}."
    return {
        name.removeprefix(prefix): value
        for name, value in parameters.items()
        if name.startswith(prefix)
    }
