"""What changes the residual stream."""

import cmath
import math

import numpy as np

from tests.oracles.base import Array, Given, Oracle, Result


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


def learnable_frequencies(
    given: Given, layers: tuple[int, ...] = (0,), scale: float = 1.0
) -> Result:
    """Kazemi et al. 2019, equation 1, with phases 0 and pi/2 on each frequency."""
    if given.layer not in layers:
        return Result()
    x = given.x.copy()
    for b, t, channel in np.ndindex(x.shape):
        freq = math.exp(given.parameters["log_freq"][channel // 2])
        phase = math.pi / 2 if channel % 2 else 0.0
        x[b, t, channel] += scale * math.sin(freq * given.q_pos[b, t] + phase)
    return Result(x=x)


def learnable_fourier(given: Given, layers: tuple[int, ...] = (0,)) -> Result:
    """Li et al. 2021, algorithm 1, with one group."""
    if given.layer not in layers:
        return Result()
    x = given.x.copy()
    for b, t in np.ndindex(x.shape[:2]):
        x[b, t] += fourier_vector(given.parameters, np.atleast_1d(given.q_pos[b, t]))
    return Result(x=x)


def fourier_vector(parameters: dict[str, Array], point: Array) -> Array:
    """Equations 2 and 6 at one point."""
    angles = [sum(row * point) for row in parameters["freq"]]
    features = [math.cos(angle) for angle in angles] + [math.sin(angle) for angle in angles]
    norm = math.sqrt(len(features))
    hidden = []
    for weights, bias in zip(parameters["hidden_weight"], parameters["hidden_bias"], strict=True):
        z = sum(w * f / norm for w, f in zip(weights, features, strict=True)) + bias
        hidden.append(z * (1 + math.erf(z / math.sqrt(2))) / 2)  # GELU
    rows = zip(parameters["out_weight"], parameters["out_bias"], strict=True)
    return np.array([sum(weights * np.array(hidden)) + bias for weights, bias in rows])


def complex_embedding(given: Given, layers: tuple[int, ...] = (0,)) -> Result:
    """Wang et al. 2020: r exp(i(omega p + theta)), where r is complex and of the token."""
    if given.layer not in layers:
        return Result()
    x = given.x.copy()
    freqs, phases = given.parameters["log_freq"], given.parameters["phase"]
    for b, t, pair in np.ndindex(*x.shape[:2], x.shape[2] // 2):
        z = complex(x[b, t, 2 * pair], x[b, t, 2 * pair + 1])
        z *= cmath.exp(1j * (math.exp(freqs[pair]) * given.q_pos[b, t] + phases[pair]))
        x[b, t, 2 * pair], x[b, t, 2 * pair + 1] = z.real, z.imag
    return Result(x=x)


def concatenated(given: Given, encoding: Oracle, layers: tuple[int, ...] = (0,)) -> Result:
    """W [x || PE] + b; PE is what the encoding adds to a zero before block 0."""
    if given.layer not in layers:
        return Result()
    prefix = "encoding."
    own = {
        name.removeprefix(prefix): value
        for name, value in given.parameters.items()
        if name.startswith(prefix)
    }
    vectors = encoding(given._replace(layer=0, x=np.zeros_like(given.x), parameters=own)).x
    assert vectors is not None
    row = sorted(layers).index(given.layer)
    weight, bias = given.parameters["projection"][row], given.parameters["offset"][row]
    x = np.zeros_like(given.x)
    for b, t, channel in np.ndindex(x.shape):
        both = np.array([*given.x[b, t], *vectors[b, t]])
        x[b, t, channel] = sum(weight[channel] * both) + bias[channel]
    return Result(x=x)


def learned_grid(given: Given, layers: tuple[int, ...] = (0,)) -> Result:
    """Dosovitskiy et al. 2021; between places, weighted by the areas to the opposite corners."""
    if given.layer not in layers:
        return Result()
    x = given.x.copy()
    table = given.parameters["table"]
    for b, t in np.ndindex(x.shape[:2]):
        for row, column in np.ndindex(table.shape[:2]):
            area = max(0.0, 1 - abs(given.q_pos[b, t, 0] - row)) * max(
                0.0, 1 - abs(given.q_pos[b, t, 1] - column)
            )
            if area:
                x[b, t] += area * table[row, column]
    return Result(x=x)
