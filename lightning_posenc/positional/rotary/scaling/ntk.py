"""Another base, so that high frequencies stay while low ones are interpolated."""

import torch
from torch import Tensor

from lightning_posenc.positional.rotary.scaling.base import (
    Scaling,
    Spectrum,
    current_length,
    geometric,
)
from lightning_posenc.positions.paper import Paper


class NTKAware(Scaling):
    """base' = base · factor^(d/(d-2)): the lowest frequency falls by factor, the highest stays.

    Source: Peng et al. 2023, "YaRN: Efficient Context Window Extension of Large Language Models",
    arXiv:2309.00071, definition 1 in section 3.1 (first by bloc97 on Reddit).

    Args:
        factor: s, how many times longer sequences become, at least 1.
        trained_length: Longest sequence of the training; not used, here for all to be alike.

    Raises:
        ValueError: If one of them makes no sense, or d = 2 channels turn: no longest wavelength.
    """

    source = Paper(
        "Peng et al.",
        2023,
        "YaRN: Efficient Context Window Extension of Large Language Models",
        "2309.00071",
        "definition 1",
    )
    equation = r"\mathrm{base}' = \mathrm{base} \cdot s^{d/(d-2)}"

    def __call__(self, base: float, width: int, positions: Tensor) -> Spectrum:
        inv_freq = geometric(base, width, positions.device)
        factor = inv_freq.new_tensor(self.factor)
        return Spectrum(inv_freq * stretched(self, factor, width))


class DynamicNTK(Scaling):
    """NTKAware by factor·l/L - (factor - 1), where l = the larger of L and the current length.

    The current length of a sequence is its largest position plus one, so that the frequencies of
    sequences within the trained length L are the trained ones. Those of longer ones change as they
    grow: the output then depends on where a sequence stands, and on packing too.
    Source: Peng et al. 2023, arXiv:2309.00071, section 3.3 (first by emozilla on Reddit); with
    `factor`, as "dynamic" in Hugging Face. Deviation: the length is that of each sequence, not of
    the longest in the batch, on whom no other shall depend.

    Args:
        factor: How much faster than the length the base's stretch grows, at least 1.
        trained_length: L, the longest sequence of the training.

    Raises:
        ValueError: If one of them makes no sense, or d = 2 channels turn: no longest wavelength.
    """

    source = Paper(
        "Peng et al.",
        2023,
        "YaRN: Efficient Context Window Extension of Large Language Models",
        "2309.00071",
        "section 3.3",
    )
    equation = (
        r"\mathrm{base}' = \mathrm{base} \left( \frac{s\,l}{L} - (s - 1) \right)^{d/(d-2)}, \quad "
        r"l = \max(L, \text{current length})"
    )

    dynamic = True

    def __call__(self, base: float, width: int, positions: Tensor) -> Spectrum:
        ratio = current_length(positions).clamp(min=self.trained_length) / self.trained_length
        stretch = self.factor * ratio - (self.factor - 1)
        stretch = torch.where(ratio > 1, stretch, 1.0)
        return Spectrum(geometric(base, width, positions.device) * stretched(self, stretch, width))


def stretched(scaling: Scaling, factor: Tensor, width: int) -> Tensor:
    """What (base · factor^(d/(d-2)))^(-2i/d) has beyond base^(-2i/d): factor^(-2i/(d-2))."""
    if width < 4:
        raise ValueError(
            f"{type(scaling).__name__}: needs at least 4 channels that turn, got {width}: "
            "choose a larger head or LinearScaling"
        )
    exponent = torch.arange(0, width, 2, device=factor.device).float()
    return factor ** (-exponent / (width - 2))
