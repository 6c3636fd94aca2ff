"""What a map of rotary frequencies alone says: which scaling is in it, and for which length.

The map is compared with the geometric one that RoPE starts from, theta_i = base^(-i/n). Let
r_i be the ratio of the two. Then r = 1 is no scaling; r = 1/f for all pairs is position
interpolation by f (2306.15595); log r linear in i is another base (NTK-aware, ABF); and r falling
from 1 to 1/f is by parts, w_i = (r_i - 1/f) / (1 - 1/f) being the weight of the pair as it was:
linear in i with YaRN (2309.00071, eq. 11), in theta_i with Llama 3. Both let w reach 0 where one
turn takes the trained length, unless their options say otherwise.

Shapes: n pairs of channels that turn.
"""

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.pretrained.frequencies import FrequencyMap

SAME = 2**-8  # relative; half precision's rounding of a frequency is half of it

Scaled = Literal["none", "linear", "base", "by parts", "no rotation", "other"]


class Implied(NamedTuple):
    """What a map shows of how it was made.

    Args:
        scaling: "none", "linear" (position interpolation), "base" (NTK-aware or ABF), "by parts"
            (YaRN, Llama 3), "no rotation" (DroPE), or "other".
        factor: How many times slower the slowest pair turns than unscaled; None if nobody knows.
        base: The base that fits the map, or the unscaled one.
        trained_length: In tokens, about, where the map shows it; None elsewhere.
        sentence: The same in words.
    """

    scaling: Scaled
    factor: float | None
    base: float | None
    trained_length: int | None
    sentence: str


def implied(frequencies: FrequencyMap) -> Implied:
    """Say which scaling a map shows, from its numbers alone but for the base.

    Args:
        frequencies: Of n pairs, as they are in the loaded model.
    """
    theta = frequencies.inv_freq.double()
    n = len(theta)
    turning = int((theta > 0).sum())
    if turning == 0:
        return Implied("no rotation", None, None, None, "no pair turns: layers without position")
    rest = "" if turning == n else f"; {n - turning} of {n} pairs do not turn"
    theta = theta[:turning] if bool((theta[:turning] > 0).all()) else theta.clamp_min(1e-30)
    index = torch.arange(turning, dtype=torch.float64) / n
    base = frequencies.base or _fitted_base(theta, index)
    ratio = theta * base**index
    if _all_near(ratio, torch.ones_like(ratio)):
        return Implied("none", 1.0, base, None, f"RoPE at base {base:,.0f}, unscaled{rest}")
    if _all_near(ratio, ratio[:1]):
        factor = 1 / float(ratio[0])
        said = f"all positions divided by {factor:.4g} (position interpolation){rest}"
        return Implied("linear", factor, base, None, said)
    if (fitted := _other_base(theta, index)) is not None:
        factor = float((fitted / base) ** index[-1])
        said = (
            f"RoPE at base {fitted:,.0f} in place of {base:,.0f} (NTK-aware or a chosen base): "
            f"the slowest pair {factor:.4g} times slower{rest}"
        )
        return Implied("base", factor, fitted, None, said)
    return _by_parts(ratio, index, base, rest)


def _by_parts(ratio: Tensor, index: Tensor, base: float, rest: str) -> Implied:
    falling = bool((ratio[1:] <= ratio[:-1] * (1 + SAME)).all())
    factor = 1 / float(ratio[-1])
    if not falling or not math.isclose(float(ratio[0]), 1, rel_tol=SAME) or factor < 1 + SAME:
        low, high = (float(x) for x in (ratio.min(), ratio.max()))
        said = f"a map of its own: {low:.3g} to {high:.3g} times base {base:,.0f}{rest}"
        return Implied("other", None, base, None, said)
    kept = (ratio - 1 / factor) / (1 - 1 / factor)
    length = _where_nothing_is_kept(kept, index, base)
    said = f"by parts (YaRN, Llama 3): slow pairs {factor:.4g} times slower, fast ones kept{rest}"
    if length is not None:
        said += f"; made for a trained length of about {length:,}"
    return Implied("by parts", factor, base, length, said)


def _where_nothing_is_kept(kept: Tensor, index: Tensor, base: float) -> int | None:
    """The unscaled wavelength at which a line through the ramp comes to 0."""
    ramp = (kept > 0.02) & (kept < 0.98)
    if int(ramp.sum()) < 2:
        return None
    best: tuple[float, float] | None = None
    for axis, wavelength in (
        (index, lambda x: 2 * math.pi * base**x),
        (base**-index, lambda x: 2 * math.pi / x if x > 0 else math.inf),
    ):
        slope, at_zero, error = _line(axis[ramp], kept[ramp])
        length = wavelength(-at_zero / slope)
        if best is None or error < best[0]:
            best = error, length
    assert best is not None
    return round(best[1]) if 1 <= best[1] < 1e12 else None


def _line(x: Tensor, y: Tensor) -> tuple[float, float, float]:
    """Slope, value at 0 and mean squared error of the least squares line."""
    x_mean, y_mean = x.mean(), y.mean()
    slope = ((x - x_mean) * (y - y_mean)).sum() / ((x - x_mean) ** 2).sum()
    at_zero = y_mean - slope * x_mean
    error = (y - slope * x - at_zero).square().mean()
    return float(slope), float(at_zero), float(error)


def _fitted_base(theta: Tensor, index: Tensor) -> float:
    if len(theta) < 2:
        return 10_000.0
    slope, _, _ = _line(index, theta.log())
    return math.exp(-slope)


def _other_base(theta: Tensor, index: Tensor) -> float | None:
    """The base at which RoPE unscaled has these frequencies, if one has."""
    if len(theta) < 2:
        return None
    base = float(theta[-1] ** (-1 / index[-1]))
    return base if _all_near(theta * base**index, torch.ones_like(theta)) else None


def _all_near(x: Tensor, y: Tensor) -> bool:
    return bool(((x / y - 1).abs() <= SAME).all())
