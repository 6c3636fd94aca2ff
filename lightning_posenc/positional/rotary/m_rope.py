"""Rotary position embedding for text among images and video."""

from collections.abc import Sequence

import torch
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
    arXiv:2409.12191, section 2.1; sections as in its code. Interleaved, every axis has pairs of all
    frequencies: Bai et al. 2025, "Qwen3-VL Technical Report", arXiv:2511.21631.

    Args:
        dims: Sizes of the model; the head size must be even.
        sections: How many pairs turn by time, height and width, in the order of falling
            frequency; None takes 1/4, 3/8 and 3/8 of the pairs, as Qwen2-VL, or, interleaved,
            thirds of them, time having what is left.
        base: Ratio between the longest wavelength and 2·pi; in (1, 1e30].
        layout: Which channels make a pair: "half" or "interleaved", as in `Rotary`.
        scaling: Extends a trained model past its length.
        interleaved: Whether pairs go by time, height, width, time, … in turn, for as long as height
            and width have pairs left, and by time from there on, as in Qwen3-VL.

    Raises:
        ValueError: If the sections do not add up, or interleaved ones do not fit in turn; on
            positions that have neither 1 nor 3 axes.
    """

    source = Paper(
        "Wang et al.",
        2024,
        "Qwen2-VL: Enhancing Vision-Language Model's Perception of the World at Any Resolution",
        "2409.12191",
        "section 2.1",
    )
    equation = (
        r"\text{pair } i \text{ turns by } p_{a(i)}\, \mathrm{base}^{-2i/K}, \quad "
        r"a(i) \in \{\text{time}, \text{height}, \text{width}\}"
    )

    axes = (1, 3)

    def __init__(
        self,
        dims: Dims,
        sections: Sequence[int] | None = None,
        base: float = 10000.0,
        layout: Layout = "half",
        scaling: Scaling | None = None,
        interleaved: bool = False,
    ) -> None:
        super().__init__(dims, base, layout, scaling)
        pairs = dims.d_head // 2
        if sections is None:
            plane = pairs // 3 if interleaved else 3 * pairs // 8
            sections = (pairs - 2 * plane, plane, plane)
        several(self, "sections", sections, 3)
        self.sections = tuple(whole(self, "sections", each, 0) for each in sections)
        if sum(sections) != pairs:
            allowed = f"add up to the {pairs} pairs of channels of a head"
            raise wrong(self, "sections", sections, allowed)
        self.interleaved = interleaved
        self.turns: list[int] = []  # by which axis each pair goes, if interleaved
        if interleaved:
            self.turns = [i % 3 if i < 3 * sections[i % 3] else 0 for i in range(pairs)]
            if tuple(map(self.turns.count, range(3))) != self.sections:
                allowed = "give height and width at most every third pair, if interleaved"
                raise wrong(self, "sections", sections, allowed)

    @property
    def width(self) -> int:
        return self.dims.d_head

    def angles(self, positions: Tensor, inv_freq: Tensor) -> Tensor:
        if positions.dim() == 2:
            return super().angles(positions, inv_freq)
        if self.interleaved:
            columns = positions.float()[None, :, None].unbind(-1)
            return torch.stack([columns[axis] for axis in self.turns], dim=-1) * inv_freq
        return by_sections(positions, self.sections) * inv_freq
