"""Distances within chunks, between neighbouring ones, and to older ones."""

from lightning_posenc.checks import whole, wrong
from lightning_posenc.positional.rotary.laws import Chunked, Law
from lightning_posenc.positions.paper import Paper
from lightning_posenc.pretrained.methods.by_distance import TurnedByDistance
from lightning_posenc.pretrained.methods.distances import LOGITS


class DualChunkRope(TurnedByDistance):
    """Dual chunk attention: no key seems farther than a chunk, and neighbours keep their distance.

    Exact: one softmax over the keys of all three kinds. Source: An et al. 2024, "Training-Free
    Long-Context Scaling of Large Language Models", arXiv:2402.17463, section 3, with the sizes
    and the farthest distance (`chunk`, one more than the paper's) of the authors' code.

    Args:
        chunk: c, in tokens, at most L; None for 3/4 L.
        local: How many distances into the chunk before are its own, less than half of c; None
            for L / 16.
        most_logits: How many are held at once, which bounds the memory; at least 1.

    Raises:
        ValueError: If one of them makes no sense.
    """

    name = "dual-chunk"
    source = Paper(
        "An et al.",
        2024,
        "Training-Free Long-Context Scaling of Large Language Models",
        "2402.17463",
        "section 3",
    )

    def __init__(
        self, chunk: int | None = None, local: int | None = None, most_logits: int = LOGITS
    ) -> None:
        super().__init__(most_logits)
        self.chunk = None if chunk is None else whole(self, "chunk", chunk, 2)
        self.local = None if local is None else whole(self, "local", local, 0)

    def law(self, trained_length: int, to: int) -> Law:
        chunk = max(2, trained_length * 3 // 4) if self.chunk is None else self.chunk
        local = trained_length // 16 if self.local is None else self.local
        if chunk > trained_length:
            raise wrong(self, "chunk", chunk, f"be at most the trained length {trained_length}")
        if 2 * local >= chunk:
            raise wrong(self, "local", local, f"be less than half of chunk={chunk}")
        return Chunked(chunk, local)
