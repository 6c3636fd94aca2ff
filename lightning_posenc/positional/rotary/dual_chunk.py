"""Distances within chunks, between neighbouring ones, and to older ones."""

from typing import ClassVar

from lightning_posenc.checks import whole, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.positional.rotary.base import Layout
from lightning_posenc.positional.rotary.by_law import ByLaw
from lightning_posenc.positional.rotary.laws import Chunked
from lightning_posenc.positional.rotary.scaling import Scaling
from lightning_posenc.positions.paper import Paper


class DualChunk(ByLaw):
    """Dual chunk attention: distances of keys in the query's chunk, in the one before, in older.

    Chunks have s = chunk - local tokens, and keys stand at j mod s. A query stands at i mod s for
    keys of its own chunk, at min(i mod s + s, chunk) for those of the chunk before, at `chunk` for
    older ones.

    Exact: one softmax over the keys of all three kinds. Source: An et al. 2024, "Training-Free
    Long-Context Scaling of Large Language Models", arXiv:2402.17463, section 3, with the sizes and
    the farthest distance (`chunk`, one more than the paper's) of the authors' code.

    Args:
        dims: Sizes of the model, which must be causal; the head size must be even.
        chunk: c, at least 2; three quarters of the trained length in the source.
        local: How many distances into the chunk before are its own, less than half of c.
        base: Ratio between the longest wavelength and 2·pi; in (1, 1e30].
        layout: Which channels make a pair: "half" or "interleaved", as in `Rotary`.
        scaling: Extends a trained model past its length (`positional.scaling`).

    Raises:
        ValueError: In a bidirectional model, or if a size makes no sense.
    """

    shift_invariant = False  # chunks start at multiples of a number

    source = Paper(
        "An et al.",
        2024,
        "Training-Free Long-Context Scaling of Large Language Models",
        "2402.17463",
        "section 3",
    )
    equation = (
        r"\ell_{ij} = \frac{q_i \cdot R_{-d(i,j)} k_j}{\sqrt K}, \quad d(i, j) = \begin{cases}"
        r" i \bmod s - j \bmod s & \text{same chunk} \\"
        r" \min(i \bmod s + s,\, c) - j \bmod s & \text{the chunk before} \\"
        r" c - j \bmod s & \text{older} \end{cases}"
    )

    shows_with: ClassVar = {"chunk": 5, "local": 1}

    def __init__(
        self,
        dims: Dims,
        chunk: int = 384,
        local: int = 32,
        base: float = 10000.0,
        layout: Layout = "half",
        scaling: Scaling | None = None,
    ) -> None:
        super().__init__(dims, base, layout, scaling)
        self.chunk = whole(self, "chunk", chunk, 2)
        self.local = whole(self, "local", local, 0)
        if 2 * local >= chunk:
            raise wrong(self, "local", local, f"be less than half of chunk={chunk}")

    @property
    def law(self) -> Chunked:
        return Chunked(self.chunk, self.local)
