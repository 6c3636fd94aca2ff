"""Rotary position embedding of queries, keys and values."""

from torch import Tensor

from lightning_posenc.positional.base import Site
from lightning_posenc.positional.rotary.base import rotate
from lightning_posenc.positional.rotary.scaled import ScaledRotary
from lightning_posenc.positions.paper import Paper


class RoPER(ScaledRotary):
    """RoPE that turns values too, and what attention mixes of them back by the query's angle.

    The output at position i is Σ_j a_ij R(p_j - p_i) v_j: what a token gives depends on how far
    away it stands, where RoPE's says only how much of it is taken. Source: RoPER, "Rotary
    Positional Embeddings with Relative distance" (labml.ai, code); DeepSeek-V4 (released
    code), whose keys are its values. The rotation is that of Su et al. 2021, arXiv:2104.09864.

    Args:
        dims: Sizes of the model; the head size must be even.
        base: Ratio between the longest wavelength and 2·pi; in (1, 1e30].
        layout: Which channels make a pair: "half" or "interleaved", as in `Rotary`.
        scaling: Extends a trained model past its length (`positional.scaling`): PI, YaRN, …

    Raises:
        ValueError: If the head size is odd.

    Example:
        >>> from lightning_posenc import Dims, Encoder
        >>> from lightning_posenc.positional import RoPER
        >>> encoder = Encoder(Dims(64, 4, 2, causal=True), RoPER)
    """

    source = Paper(
        "Su et al.",
        2021,
        "RoFormer: Enhanced Transformer with Rotary Position Embedding",
        "2104.09864",
        "equation 34, of values too, as in RoPER",
    )
    equation = (
        r"o_i = \sum_j a_{ij}\, R_{j-i}\, v_j, \quad "
        r"\ell_{ij} = \frac{q_i \cdot R_{j-i} k_j}{\sqrt K}"
    )

    @property
    def width(self) -> int:
        return self.dims.d_head

    def keys_stay(self, layer: int) -> bool:
        """True: what is done to values reads no key."""
        return True

    def values(self, site: Site) -> Tensor:
        return rotate(site.v, site.prepared.of_keys.of_layer(site.layer))

    def output(self, site: Site, mixed: Tensor) -> Tensor:
        return rotate(mixed, site.prepared.of_queries.of_layer(site.layer).back())
