"""What turns queries and keys."""

import cmath
import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from tests.oracles.base import Array, Given, Result

Spectrum: TypeAlias = tuple[list[float], float]  # frequencies, factor on queries and keys
Scaled: TypeAlias = Callable[[float, int, float], Spectrum]  # of base, width, largest position + 1


def rope(
    given: Given,
    base: float = 10000.0,
    layout: str = "half",
    width: int | None = None,
    scaling: Scaled | None = None,
) -> Result:
    """Su et al. 2021, equations 14-16: multiplication by exp(i·p·theta) in the complex plane."""
    width = given.q.shape[-1] if width is None else width
    q, k = given.q, given.k
    turned_q, turned_k = q.copy(), k.copy()
    for b in range(len(q)):
        frequencies, temperature = geometric(base, width), 1.0
        if scaling is not None:
            frequencies, temperature = scaling(base, width, float(given.k_pos[b].max()) + 1)
        factors = [[cmath.exp(1j * p * f) for f in frequencies] for p in given.q_pos[b]]
        turned_q[b] = temperature**2 * turned(q[b], factors, layout)
        factors = [[cmath.exp(1j * p * f) for f in frequencies] for p in given.k_pos[b]]
        turned_k[b] = turned(k[b], factors, layout)
    return Result(q=turned_q, k=turned_k)


def p_rope(given: Given, n_turning: int, layout: str = "half", factor: float = 1.0) -> Result:
    """Barbero et al. 2024, section 6: frequencies of the other pairs are 0."""

    def cut(base: float, width: int, length: float) -> Spectrum:
        theta = geometric(base, width)
        return [theta[i] / factor if i < n_turning else 0.0 for i in range(width // 2)], 1.0

    return rope(given, layout=layout, scaling=cut)


def turned(x: Array, factors: Sequence[Sequence[complex]], layout: str) -> Array:
    """Pairs of channels of (H, T, K) as complex numbers, times a factor for each token and pair."""
    result = x.copy()
    for h, t in np.ndindex(x.shape[:2]):
        n_pairs = len(factors[t])
        for pair, factor in enumerate(factors[t]):
            one, other = (pair, pair + n_pairs) if layout == "half" else (2 * pair, 2 * pair + 1)
            z = complex(x[h, t, one], x[h, t, other]) * factor
            result[h, t, one], result[h, t, other] = z.real, z.imag
    return result


def geometric(base: float, width: int) -> list[float]:
    """Su et al. 2021, section 3.2.2."""
    return [base ** (-2 * i / width) for i in range(width // 2)]


def linear(base: float, width: int, length: float, *, factor: float) -> Spectrum:
    """Chen et al. 2023, equation 4."""
    return [theta / factor for theta in geometric(base, width)], 1.0


def abf(
    base: float, width: int, length: float, *, factor: float, trained: int, to: float | None = None
) -> Spectrum:
    """Xiong et al. 2023, section 2.1: another base; or that by which as many pairs turn."""
    if to is None:
        # The pair that turns once within the trained length turns once within the longer one.
        share = math.log(trained / (2 * math.pi), base)
        to = math.exp(math.log(factor * trained / (2 * math.pi)) / share)
    return geometric(to, width), 1.0


def clipped(
    base: float, width: int, length: float, *, trained_length: int, pairs: int | None = None
) -> Spectrum:
    """Li et al. 2026, by the authors' code; `pairs` unless given by the wavelengths."""
    theta = geometric(base, width)
    n = sum(2 * math.pi / each > trained_length for each in theta) if pairs is None else pairs
    for j in range(n):
        fade = j / (n - 1) if n > 1 else 0.0
        theta[len(theta) - n + j] *= 0.5 * (1 + math.cos(math.pi * fade))
    return theta, 1.0


def ntk_aware(base: float, width: int, length: float, *, factor: float) -> Spectrum:
    """Peng et al. 2023, definition 1."""
    return geometric(base * factor ** (width / (width - 2)), width), 1.0


def dynamic_ntk(
    base: float, width: int, length: float, *, factor: float, trained_length: int
) -> Spectrum:
    """Peng et al. 2023, section 3.3, with the factor of transformers' "dynamic"."""
    longest = max(length, trained_length)
    return ntk_aware(base, width, length, factor=factor * longest / trained_length - (factor - 1))


def ntk_by_parts(
    base: float,
    width: int,
    length: float,
    *,
    factor: float,
    trained_length: int,
    beta_fast: float = 32.0,
    beta_slow: float = 1.0,
    ramp: str = "dimension",
    truncate: bool = True,
) -> Spectrum:
    """Peng et al. 2023, definition 2 ("rotations"), or the authors' code ("dimension")."""

    def pair_that_turns(times: float) -> float:
        wavelength = trained_length / times
        return width / 2 * math.log(wavelength / (2 * math.pi)) / math.log(base)

    low, high = pair_that_turns(beta_fast), pair_that_turns(beta_slow)
    if truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, width - 1)
    if low == high:
        high += 0.001
    result = []
    for i, theta in enumerate(geometric(base, width)):
        turns = trained_length * theta / (2 * math.pi)
        interpolated = (i - low) / (high - low)
        if ramp == "rotations":
            interpolated = 1 - (turns - beta_slow) / (beta_fast - beta_slow)
        share = min(max(interpolated, 0.0), 1.0)
        result.append(share * theta / factor + (1 - share) * theta)
    return result, 1.0


def yarn(base: float, width: int, length: float, *, factor: float, trained_length: int) -> Spectrum:
    """Peng et al. 2023, definition 3: by parts, and sqrt(1/t) = 0.1 ln(s) + 1."""
    frequencies, _ = ntk_by_parts(base, width, length, factor=factor, trained_length=trained_length)
    return frequencies, 0.1 * math.log(factor) + 1


def llama3(
    base: float, width: int, length: float, *, factor: float, trained_length: int
) -> Spectrum:
    """Grattafiori et al. 2024, by wavelengths, with their factors 1 and 4."""
    result = []
    for theta in geometric(base, width):
        wavelength = 2 * math.pi / theta
        if wavelength < trained_length / 4:
            result.append(theta)
        elif wavelength > trained_length:
            result.append(theta / factor)
        else:
            smooth = (trained_length / wavelength - 1) / (4 - 1)
            result.append((1 - smooth) * theta / factor + smooth * theta)
    return result, 1.0


def longrope(
    base: float,
    width: int,
    length: float,
    *,
    factor: float,
    trained_length: int,
    short_factors: Sequence[float],
    long_factors: Sequence[float],
) -> Spectrum:
    """Ding et al. 2024, equation 2 without n̂, and the temperature of Phi-3."""
    divisors = long_factors if length > trained_length else short_factors
    frequencies = [
        theta / divisor for theta, divisor in zip(geometric(base, width), divisors, strict=True)
    ]
    return frequencies, math.sqrt(1 + math.log(factor) / math.log(trained_length))


def learned_rope(given: Given, layout: str = "half") -> Result:
    """Heo et al. 2024, section 3.3, on one axis: exp(i·p·theta) with a learned theta."""
    table = given.parameters["inv_freq"]
    table = table[given.layer if len(table) > 1 else 0]

    def factor(h: int, position: float, pair: int) -> complex:
        return cmath.exp(1j * position * table[h % len(table), pair])

    return by_heads(given, factor, table.shape[-1], len(table) > 1, layout)


def roper(given: Given, base: float = 10000.0, layout: str = "half") -> Result:
    """RoPER: values turn as keys, and what they are mixed to turns back by the query's angle."""
    theta = geometric(base, given.q.shape[-1])
    turns = []
    for x, positions, sign in (
        (given.q, given.q_pos, 1),
        (given.k, given.k_pos, 1),
        (given.v, given.k_pos, 1),
        (given.mixed, given.q_pos, -1),
    ):
        result = x.copy()
        for b in range(len(x)):
            factors = [[cmath.exp(sign * 1j * p * each) for each in theta] for p in positions[b]]
            result[b] = turned(x[b], factors, layout)
        turns.append(result)
    q, k, v, mixed = turns
    return Result(q=q, k=k, v=v, mixed=mixed)


def lerope(given: Given, base: float = 10000.0, layout: str = "half") -> Result:
    """arXiv:2607.10134: RoPE's frequencies, each times e to the power of a learned number."""
    alpha = given.parameters["alpha"]
    alpha = alpha[given.layer if len(alpha) > 1 else 0]
    theta = geometric(base, given.q.shape[-1])

    def factor(h: int, position: float, pair: int) -> complex:
        power = math.exp(alpha[h % len(alpha), pair])
        return cmath.exp(1j * position * theta[pair] * power)

    return by_heads(given, factor, alpha.shape[-1], len(alpha) > 1, layout)


def mixed_rope(given: Given, layout: str = "half") -> Result:
    """Heo et al. 2024, equation 7: exp(i·(row·theta + column·phi))."""
    table = given.parameters["frequencies"]
    table = table[given.layer if len(table) > 1 else 0]
    own = len(table) > 1
    n_heads = given.q.shape[1]
    k = given.k.repeat(n_heads // given.k.shape[1], axis=1) if own else given.k
    turned_sides = []
    for x, positions in ((given.q, given.q_pos), (k, given.k_pos)):
        result = x.copy()
        for b, h in np.ndindex(x.shape[:2]):
            theta, phi = table[h if own else 0]
            factors = [[cmath.exp(1j * (row * down + column * across))
                        for down, across in zip(theta, phi, strict=True)]
                       for row, column in positions[b]]  # fmt: skip
            result[b, h] = turned(x[b, h : h + 1], factors, layout)[0]
        turned_sides.append(result)
    return Result(q=turned_sides[0], k=turned_sides[1])


def fope(
    given: Given, base: float = 10000.0, trained_length: int = 512, layout: str = "half"
) -> Result:
    """Hua et al. 2024, equations 11-13, with coefficients of their own for cosines and sines."""
    frequencies = geometric(base, given.q.shape[-1])
    kept = [theta for theta in frequencies if theta >= 2 * math.pi / trained_length]

    def factor(h: int, position: float, pair: int) -> complex:
        if pair >= len(kept):
            return 1
        cos, sin = (given.parameters[f"{name}_coefficients"] for name in ("cos", "sin"))
        return sum(
            cos[given.layer, h, i, pair] * math.cos(position * theta)
            + 1j * sin[given.layer, h, i, pair] * math.sin(position * theta)
            for i, theta in enumerate(kept)
        )

    return by_heads(given, factor, len(frequencies), True, layout)


def by_heads(
    given: Given,
    factor: Callable[[int, float, int], complex],
    n_pairs: int,
    heads_differ: bool,
    layout: str,
) -> Result:
    """Pairs of channels times a complex factor of the head, the position and the pair."""
    sides = []
    for x, positions in ((given.q, given.q_pos), (given.k, given.k_pos)):
        x = of_each_head(x, given) if heads_differ else x
        result = x.copy()
        for b, h in np.ndindex(x.shape[:2]):
            factors = [[factor(h, p, pair) for pair in range(n_pairs)] for p in positions[b]]
            result[b, h] = turned(x[b, h : h + 1], factors, layout)[0]
        sides.append(result)
    return Result(q=sides[0], k=sides[1])


def of_each_head(x: Array, given: Given) -> Array:
    """Keys, one for each query head: head h takes key h // (H / G)."""
    n_heads = given.q.shape[1]
    share = n_heads // x.shape[1]
    return np.stack([x[:, h // share] for h in range(n_heads)], axis=1)


def xpos(
    given: Given,
    base: float = 10000.0,
    gamma: float = 0.4,
    scale_base: float = 512.0,
    layout: str = "half",
) -> Result:
    """Sun et al. 2022, algorithm 1, with positions counted from the middle of the keys'."""
    width = given.q.shape[-1]
    zeta = [(2 * i / width + gamma) / (1 + gamma) for i in range(width // 2)]
    q, k = given.q.copy(), given.k.copy()
    for b in range(len(q)):
        middle = (given.k_pos[b].min() + given.k_pos[b].max()) / 2
        for x, positions, sign in ((q, given.q_pos, 1), (k, given.k_pos, -1)):
            factors = [
                [
                    zeta[i] ** (sign * (p - middle) / scale_base) * cmath.exp(1j * p * theta)
                    for i, theta in enumerate(geometric(base, width))
                ]
                for p in positions[b]
            ]
            x[b] = turned(x[b], factors, layout)
    return Result(q=q, k=k)


def axial_rope(
    given: Given,
    axes: int,
    base: float = 10000.0,
    layout: str = "half",
    factor: float = 1.0,
) -> Result:
    """Heo et al. 2024, equation 5: each axis has its own channels, all the same frequencies."""
    theta = geometric(base, given.q.shape[-1] // (2 * axes) * 2)
    pairs = [(axis, each / factor) for axis in range(axes) for each in theta]
    return on_axes(given, pairs, layout)


def m_rope(
    given: Given, sections: tuple[int, ...], base: float = 10000.0, layout: str = "half"
) -> Result:
    """Wang et al. 2024, section 2.1: RoPE's frequencies, dealt out to time, height and width."""
    axes = [axis for axis, size in enumerate(sections) for _ in range(size)]
    pairs = list(zip(axes, geometric(base, given.q.shape[-1]), strict=True))
    return on_axes(given, pairs, layout)


def m_rope_interleaved(given: Given, base: float = 10000.0) -> Result:
    """Qwen3-VL with a third of the pairs each for height and width: time, height, width in turn."""
    width = given.q.shape[-1]
    third = width // 2 // 3
    axes = [0] * (width // 2)
    for axis in (1, 2):
        for turn in range(third):
            axes[axis + 3 * turn] = axis
    return on_axes(given, list(zip(axes, geometric(base, width), strict=True)), "half")


def on_axes(given: Given, pairs: Sequence[tuple[int, float]], layout: str) -> Result:
    """Pairs of channels that turn by one axis each, with one frequency."""
    q, k = given.q.copy(), given.k.copy()
    for x, positions in ((q, given.q_pos), (k, given.k_pos)):
        for b in range(len(x)):
            factors = [[cmath.exp(1j * p[axis] * theta) for axis, theta in pairs]
                       for p in positions[b]]  # fmt: skip
            x[b] = turned(x[b], factors, layout)
    return Result(q=q, k=k)


def pope(given: Given, base: float = 10000.0) -> Result:
    """Gopalakrishnan et al. 2025: magnitudes ln(1 + exp(x)), phases p·theta; the bias on q."""
    phases = given.parameters["phase"]
    phases = phases[given.layer if len(phases) > 1 else 0]
    width = given.q.shape[-1]
    sides = []
    for x, positions, has_bias in ((given.q, given.q_pos, 1), (given.k, given.k_pos, 0)):
        result = np.zeros((*x.shape[:3], 2 * width))
        for b, h, t, c in np.ndindex(x.shape):
            angle = positions[b, t] * base ** (-c / width) - has_bias * phases[h, c]
            z = math.log(1 + math.exp(x[b, h, t, c])) * cmath.exp(1j * angle)
            result[b, h, t, c], result[b, h, t, width + c] = z.real, z.imag
        sides.append(result)
    return Result(q=sides[0], k=sides[1])


def liere(given: Given, block: int) -> Result:
    """Ostmeier et al. 2024, section 4: exp of the positions' combination of skew generators."""
    packed = given.parameters["generators"]  # (L|1, A, H|1, C, b(b-1)/2)
    packed = packed[given.layer if len(packed) > 1 else 0]
    n_axes, n_own, n_blocks, _ = packed.shape
    skew = np.zeros((*packed.shape[:3], block, block))
    entry = 0
    for row in range(block):
        for column in range(row + 1, block):
            skew[..., row, column] = packed[..., entry]
            skew[..., column, row] = -packed[..., entry]
            entry += 1
    sides = []
    for x, positions in ((given.q, given.q_pos), (given.k, given.k_pos)):
        x = of_each_head(x, given) if n_own > 1 else x
        result = x.copy()
        for b, t, own, c in np.ndindex(len(x), x.shape[2], n_own, n_blocks):
            at = np.atleast_1d(positions[b, t])
            rotation = exponential(sum(at[a] * skew[a, own, c] for a in range(n_axes)))
            channels = slice(c * block, (c + 1) * block)
            for h in [own] if n_own > 1 else range(x.shape[1]):
                result[b, h, t, channels] = rotation @ x[b, h, t, channels]
        sides.append(result)
    return Result(q=sides[0], k=sides[1])


def exponential(matrix: Array) -> Array:
    """Taylor's series of a 2^-s part of the matrix, squared s times."""
    halvings = max(0, math.ceil(math.log2(max(np.abs(matrix).sum(), 1e-9)))) + 1
    term = result = np.eye(len(matrix))
    for order in range(1, 20):
        term = term @ matrix / 2**halvings / order
        result = result + term
    for _ in range(halvings):
        result = result @ result
    return result
