"""What adds a function of the offset in rows and columns to the logits, or turns by both."""

import math
from collections.abc import Callable

import numpy as np

from tests.oracles.base import Array, Given, Result, of_layer


def plane_pairs(given: Given, entry: Callable[[int, int, int, float, float], float]) -> Array:
    """A bias from one function of sequence, head, query and the two offsets; nothing for pairs
    with a token at (-1, -1)."""
    bias = np.zeros((*given.q.shape[:3], given.k_pos.shape[1]))
    for b, h, i, j in np.ndindex(bias.shape):
        at, of = given.q_pos[b, i], given.k_pos[b, j]
        if not (all(at == -1) or all(of == -1)):
            bias[b, h, i, j] = entry(b, h, i, float(at[0] - of[0]), float(at[1] - of[1]))
    return bias


def around(place: float, most: int) -> list[tuple[int, float]]:
    """The whole places next to one, cut at `most` on either side, and their shares."""
    low = math.floor(place)
    shares = [(low, 1 - (place - low)), (low + 1, place - low)]
    return [(max(-most, min(most, near)), share) for near, share in shares if share]


def swin(given: Given) -> Result:
    """Liu et al. 2021, equation 4; between offsets, weighted by the areas opposite."""
    table = of_layer(given.parameters["table"], given.layer)
    rows, columns = (n // 2 for n in table.shape[1:])

    def entry(b: int, h: int, i: int, row: float, column: float) -> float:
        return sum(
            float(table[h, r + rows, c + columns]) * down * right
            for r, down in around(row, rows)
            for c, right in around(column, columns)
        )

    return Result(bias=plane_pairs(given, entry))


def log_cpb(given: Given, window: int) -> Result:
    """Liu et al. 2022, section 3.3, as the authors compute it."""
    own = given.layer if "hidden.1.weight" in given.parameters else 0
    weight, shift = (given.parameters[f"hidden.{own}.{name}"] for name in ("weight", "bias"))
    out = given.parameters[f"out.{own}.weight"]

    def spaced(delta: float) -> float:
        d = 8 * delta / (window - 1)
        return math.copysign(math.log2(1 + abs(d)) / math.log2(8), d)

    def entry(b: int, h: int, i: int, row: float, column: float) -> float:
        x = np.array([spaced(row), spaced(column)])
        hidden = [max(0.0, float(w @ x + s)) for w, s in zip(weight, shift, strict=True)]
        return 16 / (1 + math.exp(-float(out[h] @ np.array(hidden))))

    return Result(bias=plane_pairs(given, entry))


def decomposed(given: Given) -> Result:
    """Li et al. 2022, equations 3 and 4, the query as it is; between offsets, on a line."""
    table = of_layer(given.parameters["table"], given.layer)
    most = table.shape[1] // 2

    def entry(b: int, h: int, i: int, row: float, column: float) -> float:
        return sum(
            share * float(given.q[b, h, i] @ table[axis, near + most])
            for axis, delta in enumerate((row, column))
            for near, share in around(max(-most, min(most, delta)), most)
        )

    return Result(bias=plane_pairs(given, entry))
