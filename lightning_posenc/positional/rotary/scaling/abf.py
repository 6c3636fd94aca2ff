"""Another base, chosen."""

import math

from torch import Tensor

from lightning_posenc.positional.rotary.scaling.base import (
    Scaling,
    Spectrum,
    checked_base,
    geometric,
)
from lightning_posenc.positions.paper import Paper


class ABF(Scaling):
    """Adjusted base frequency: base'^(-2i/d), with a larger base' that is chosen.

    Source: Xiong et al. 2023, "Effective Long-Context Scaling of Foundation Models",
    arXiv:2309.16039, section 2.1, who went from 10,000 to 500,000. Where no base is given it is
    base^(ln(s·L/2π) / ln(L/2π)), at which as many pairs finish a turn within s·L as did within L
    (after Liu et al. 2023, "Scaling Laws of RoPE-based Extrapolation", arXiv:2310.05209).

    Args:
        factor: s, how many times longer sequences become, at least 1; not used with a base.
        trained_length: L, the longest sequence of the training, at least 7 without a base.
        base: base', in (1, 1e30]; None for that one.

    Raises:
        ValueError: If one of them makes no sense.
    """

    source = Paper(
        "Xiong et al.",
        2023,
        "Effective Long-Context Scaling of Foundation Models",
        "2309.16039",
        "section 2.1",
    )
    equation = (
        r"\theta_i' = \mathrm{base}'^{\,-2i/d}, \quad "
        r"\mathrm{base}' = \mathrm{base}^{\ln(sL/2\pi) / \ln(L/2\pi)} \text{ unless given}"
    )

    def __init__(
        self, factor: float, trained_length: int = 2048, base: float | None = None
    ) -> None:
        super().__init__(factor, trained_length)
        self.base = None if base is None else checked_base(self, base)
        if base is None and trained_length <= 2 * math.pi:
            raise ValueError(
                f"ABF: trained_length={trained_length} must be at least 7, in which the fastest "
                "pair finishes a turn; or give base"
            )

    def __call__(self, base: float, width: int, positions: Tensor) -> Spectrum:
        return Spectrum(geometric(self.base or self.adjusted(base), width, positions.device))

    def adjusted(self, base: float) -> float:
        """The base at which as many pairs finish a turn."""
        return adjusted_base(base, self.trained_length, self.factor * self.trained_length)


def adjusted_base(base: float, trained_length: float, to: float) -> float:
    """base^(ln(to/2π) / ln(trained_length/2π)).

    Raises:
        ValueError: If that is more than a base can be, 1e30.
    """
    now, then = (math.log(length / (2 * math.pi)) for length in (to, trained_length))
    if (power := now / then) * math.log10(base) > 30:
        raise ValueError(
            f"ABF: from {trained_length} to {to:.0f} tokens the base would be 10^"
            f"{power * math.log10(base):.0f}, beyond 1e30: give base"
        )
    return float(base) ** power
