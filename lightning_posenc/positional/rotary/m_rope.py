"""Rotary position embedding for text among images and video."""

from collections.abc import Sequence

from torch import Tensor

from lightning_posenc.checks import several, whole, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.positional.rotary.base import Layout, by_sections
from lightning_posenc.positional.rotary.scaled import ScaledRotary
from lightning_posenc.positional.rotary.scaling import Scaling
from lightning_posenc.positions.paper import Paper


class MRoPE(ScaledRotary):
    """RoPE in which pairs turn by the time, height or width of a token: three sections of pairs.

    Text has the same number on all three axes, and so is encoded as by RoPE. Source: Wang et al.
    2024, "Qwen2-VL: Enhancing Vision-Language Model's Perception of the World at Any Resolution",
    arXiv:2409.12191, section 2.1; sections as in its code.

    Args:
        dims: Sizes of the model; the head size must be even.
        sections: How many pairs turn by time, height and width, in the order of falling
            frequency; None takes 1/4, 3/8 and 3/8 of the pairs, as Qwen2-VL.
        base: Ratio between the longest wavelength and 2·pi; in (1, 1e30].
        layout: Which channels make a pair: "half" or "interleaved", as in `Rotary`.
        scaling: Extends a trained model past its length.

    Raises:
        ValueError: If the sections do not add up or positions have neither 1 nor 3 axes.
    """

    source = Paper(
        "Wang et al.",
        2024,
        "Qwen2-VL: Enhancing Vision-Language Model's Perception of the World at Any Resolution",
        "2409.12191",
        "section 2.1",
    )

    axes = (1, 3)

    def __init__(
        self,
        dims: Dims,
        sections: Sequence[int] | None = None,
        base: float = 10000.0,
        layout: Layout = "half",
        scaling: Scaling | None = None,
    ) -> None:
        super().__init__(dims, base, layout, scaling)
        pairs = dims.d_head // 2
        if sections is None:
            sections = (pairs - 2 * (3 * pairs // 8), 3 * pairs // 8, 3 * pairs // 8)
        several(self, "sections", sections, 3)
        self.sections = tuple(whole(self, "sections", each, 0) for each in sections)
        if sum(sections) != pairs:
            allowed = f"add up to the {pairs} pairs of channels of a head"
            raise wrong(self, "sections", sections, allowed)

    @property
    def width(self) -> int:
        return self.dims.d_head

    def angles(self, positions: Tensor, inv_freq: Tensor) -> Tensor:
        if positions.dim() == 2:
            return super().angles(positions, inv_freq)
        return by_sections(positions, self.sections) * inv_freq
