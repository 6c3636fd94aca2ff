"""Long sequences squeezed into the range that was trained."""

from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.positions.base import Positions
from lightning_posenc.positions.derived import Derived
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.sequences import Sequences


class Interpolated(Derived):
    """p · L/T for a sequence of T > L tokens, p as it is up to L.

    So positions below T stay below L, and a trained model never meets one that it has not seen,
    only ones in between (but for the last, up to 1 - L/T beyond L - 1, for which tables take their
    last row). T is the length of the whole sequence where it is packed, and without its padding
    where it is padded. Works with every encoding that takes positions off the lattice.

    Source: Chen et al. 2023, "Extending Context Window of Large Language Models via Positional
    Interpolation", arXiv:2306.15595.

    Args:
        trained_length: L, tokens of the longest sequence in training, at least 1.
        of: Where tokens are before; None counts 0, 1, 2, …

    Raises:
        ValueError: If `trained_length` is not positive, or positions have axes.
    """

    source = Paper(
        "Chen et al.",
        2023,
        "Extending Context Window of Large Language Models via Positional Interpolation",
        "2306.15595",
    )
    equation = r"p_t' = p_t \cdot \min(1,\, L/T)"

    def __init__(self, trained_length: int = 512, of: Positions | None = None) -> None:
        super().__init__(of)
        self.trained_length = whole(self, "trained_length", trained_length)

    def change(self, positions: Tensor, sequences: Sequences) -> Tensor:
        if positions.dim() != 2:
            raise ValueError(
                f"Interpolated: {type(self.of).__name__} gives positions on axes, of which the "
                "number of tokens is no length; resample the table of a LearnedGrid instead"
            )
        if sequences.length <= self.trained_length:
            return positions
        if sequences.lengths is None:
            return positions.float() * (self.trained_length / sequences.length)
        longer = sequences.lengths.unsqueeze(1).clamp(min=self.trained_length)
        return positions.float() * (self.trained_length / longer)
