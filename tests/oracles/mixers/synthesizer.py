"""Logits of one token, or of none."""

from collections.abc import Callable

import numpy as np

from tests.oracles.mixers.base import Array, Given, heads, linear, seen
from tests.oracles.mixers.softmax import softmax


def _mixed(given: Given, logit: Callable[[int, int, int], float]) -> Array:
    """Tay et al. 2021, section 3, with the logit of a head, a query's place and a key's."""
    values = np.stack([heads(given, linear(given, "v", x)) for x in given.x])
    out = np.zeros_like(values)
    for i, h in np.ndindex(values.shape[:2]):
        weights = softmax([logit(h, i, j) for j in seen(given, i)])
        out[i, h] = sum(weights[j] * values[j, h] for j in seen(given, i))
    return np.stack([linear(given, "out", row.reshape(-1)) for row in out])


def dense(given: Given) -> Array:
    """Tay et al. 2021, Dense Synthesizer."""
    places, bias = given.parameters["places"], given.parameters["places_bias"]
    hidden = [heads(given, np.maximum(linear(given, "hidden", x), 0)) for x in given.x]
    return _mixed(given, lambda h, i, j: places[h, j] @ hidden[i][h] + bias[h, j])


def factorized_dense(given: Given, factor: int) -> Array:
    """Tay et al. 2021, Factorized Dense Synthesizer: one factor tiled, the other repeated."""
    fine = [heads(given, linear(given, "fine", x)) for x in given.x]
    coarse = [heads(given, linear(given, "coarse", x)) for x in given.x]
    return _mixed(given, lambda h, i, j: fine[i][h, j % factor] * coarse[i][h, j // factor])


def random(given: Given) -> Array:
    """Tay et al. 2021, Random Synthesizer."""
    return _mixed(given, lambda h, i, j: given.parameters["table"][h, i, j])


def factorized_random(given: Given) -> Array:
    """Tay et al. 2021, Factorized Random Synthesizer."""
    of_queries, of_keys = given.parameters["of_queries"], given.parameters["of_keys"]
    return _mixed(given, lambda h, i, j: of_queries[h, i] @ of_keys[h, j])
