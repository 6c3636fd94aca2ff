"""Rotary position embedding whose product decays with distance."""

import math

import torch
from torch import Tensor

from lightning_posenc.checks import number
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import Site
from lightning_posenc.positional.rotary.base import Layout, Rotary, Rotation, Turn, rotation
from lightning_posenc.positional.rotary.scaling import Spectrum, checked_base, geometric
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import Places
from lightning_posenc.positions.recording import is_recorded


class XPos(Rotary):
    """RoPE whose rotated pairs also decay with distance, the fast ones first.

    RoPE times ζ_i^(p/512) on queries and ζ_i^(-p/512) on keys: ζ_i^(delta/512) on the product.

    ζ_i = (2i/K + γ) / (1 + γ) < 1, so that high frequencies decay fastest. Source: Sun et al. 2022,
    "A Length-Extrapolatable Transformer", arXiv:2212.10554, equation 11 and algorithm 1. Deviation:
    p counts from the middle of the sequence's positions, which changes no product and keeps the
    powers small: at 32768 positions they lie within 1e-18 and 1e18. What a float cannot hold is
    refused: positions from some 72,000 apart on, some 9000 in float16.

    Args:
        dims: Sizes of a causal model; the head size must be even.
        base: Ratio between the longest wavelength and 2·pi; in (1, 1e30].
        gamma: γ, the larger the slower the decay; in [1e-6, 1e6].
        scale_base: The 512 above, at least 1: distance over which pair i decays by ζ_i.
        layout: Which channels make a pair: "half" or "interleaved", as in `Rotary`.

    Raises:
        ValueError: If the head size is odd, a number is out of range or the model bidirectional;
            on positions so far apart that the powers overflow.
    """

    source = Paper(
        "Sun et al.",
        2022,
        "A Length-Extrapolatable Transformer",
        "2212.10554",
        "equation 11 and algorithm 1",
    )
    equation = (
        r"\ell_{ij} = \frac{1}{\sqrt K} \sum_i \zeta_i^{\Delta/512} \left( q \cdot R_{-\Delta} k"
        r" \right)_i, \quad "
        r"\zeta_i = \frac{2i/K + \gamma}{1 + \gamma}"
    )

    crosses = False

    def __init__(
        self,
        dims: Dims,
        base: float = 10000.0,
        gamma: float = 0.4,
        scale_base: float = 512.0,
        layout: Layout = "half",
    ) -> None:
        super().__init__(dims, layout)
        self.base = checked_base(self, base)
        if not dims.causal:
            raise ValueError(
                "XPos: decays towards the past and so grows towards the future, which a "
                "bidirectional model sees: choose RoPE or a causal model"
            )
        self.gamma = number(self, "gamma", gamma, 1e-6)
        self.scale_base = number(self, "scale_base", scale_base, 1)

    def spectrum(self, positions: Tensor) -> Spectrum:
        return Spectrum(geometric(self.base, self.dims.d_head, positions.device))

    def check(self, places: Places) -> None:
        super().check(places)
        self._check_span(places, torch.float32)

    def keys_stay(self, layer: int) -> bool:
        """False: powers are counted from the middle of the sequence, which moves as it grows."""
        return False

    def prepare(self, q_places: Places, k_places: Places) -> Turn:
        q_pos, k_pos = q_places.values, k_places.values
        inv_freq, temperature = self.spectrum(k_pos)
        low, high = k_pos.detach().float().aminmax(dim=1, keepdim=True)
        index = torch.arange(0, self.dims.d_head, 2, device=k_pos.device).float()
        decay = ((index / self.dims.d_head + self.gamma) / (1 + self.gamma)).log() / self.scale_base

        def side(positions: Tensor, sign: int) -> Rotation:
            angles = self.angles(positions, inv_freq)
            powers = (sign * self.angles(positions - (low + high) / 2, decay)).exp()
            return rotation(angles.cos() * powers, angles.sin() * powers, self.layout)

        return Turn(side(q_pos, 1), side(k_pos, -1), temperature)

    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        if site.q.dtype == torch.float16:
            self._check_span(site.k_places, torch.float16)
        return super().transform(site)

    def farthest(self, dtype: torch.dtype) -> float:
        """How far apart two tokens may be for the powers to stay in a dtype.

        A factor of 16 is left for the queries and keys that they multiply.
        """
        fastest = math.log((1 + self.gamma) / self.gamma) / self.scale_base  # of pair 0
        return 2 * math.log(torch.finfo(dtype).max / 16) / fastest

    def _check_span(self, places: Places, dtype: torch.dtype) -> None:
        if places.extent > self.farthest(dtype) and not is_recorded():
            self._check_values(places.values, dtype)

    @torch.compiler.disable
    def _check_values(self, positions: Tensor, dtype: torch.dtype) -> None:
        low, high = positions.detach().aminmax(dim=1)
        if bool((high - low > self.farthest(dtype)).any()):
            raise ValueError(
                f"XPos: in {dtype} its powers hold for {int(self.farthest(dtype)) + 1} consecutive "
                f"tokens, got positions {(high - low).amax().item():.0f} apart: shorten the "
                "sequences, raise scale_base or gamma and train, or choose RoPE with ALiBi"
            )
