"""Random distances between tokens."""

import torch
from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.draws import sent
from lightning_posenc.positions.base import Positions
from lightning_posenc.positions.derived import Derived
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import Places
from lightning_posenc.positions.randomized import random_subset
from lightning_posenc.positions.recording import is_recorded
from lightning_posenc.positions.sequences import Sequences


class RandomDistances(Derived):
    """Neighbours are some random distance apart, second neighbours some larger one, and so on.

    Every forward, in training and testing, draws as many distances as it may need from
    1..max_distance, without replacement, and sorts them: all tokens that are n apart count as the
    n-th of them apart, those to the future as its negative. So a model that was trained on short
    sequences has met large distances. Unlike the differences of `Randomized` positions the
    distances stay the same everywhere in the sequence. Serves every encoding of distance alone
    (a RelativeBias such as ALiBi or T5Bias, ShawRelative, TransformerXL, WaveletBias, DeBERTa);
    beside one, others see positions as they are.

    Source: Ruoss et al. 2023, "Randomized Positional Encodings Boost Length Generalization of
    Transformers", arXiv:2305.16843, for relative encodings and ALiBi. Deviations: one draw serves
    all layers. In a bidirectional model the authors' code clamps an index, so that distance 0 and
    all of the future share one row; here, as in the paper, a distance to the future is its own.

    Args:
        max_distance: The largest distance that the model shall ever see.
        of: Where tokens are; None counts 0, 1, 2, …

    Raises:
        ValueError: If there is no distance to draw, on positions between whole numbers or on axes,
            and on tokens farther apart than `max_distance`.
    """

    source = Paper(
        "Ruoss et al.",
        2023,
        "Randomized Positional Encodings Boost Length Generalization of Transformers",
        "2305.16843",
        "relative encodings and ALiBi",
    )
    equation = (
        r"d'(i, j) = \operatorname{sign}(i - j) \; D_{|i-j|}, \quad "
        r"D_0 = 0,\; D_1 < D_2 < \dots \text{ drawn from } \{1, \dots, D_{\max}\}"
    )

    def __init__(self, max_distance: int = 2047, of: Positions | None = None) -> None:
        super().__init__(of)
        self.max_distance = whole(self, "max_distance", max_distance)

    def change(self, positions: Tensor, sequences: Sequences) -> Tensor:
        return positions

    def bounds(self, length: int) -> tuple[float, float] | None:
        return self.of.bounds(length)

    def stretch(self, places: Places) -> Tensor:
        if not places.is_whole or places.values.dim() > 2:
            raise ValueError(
                "RandomDistances: wants one whole number for each position; choose positions such "
                "as Consecutive"
            )
        if is_recorded():
            raise ValueError(
                "RandomDistances: draws as many distances as occur, anew in every forward, which "
                "no exported or traced program can: export the model with positions=Consecutive"
            )
        return self._drawn(places)

    @torch.compiler.disable
    def _drawn(self, places: Places) -> Tensor:
        values = places.values
        longest = values.shape[1] - 1
        if longest != places.extent:  # of consecutive ones nobody need read them
            longest = int((values.amax(dim=1) - values.amin(dim=1)).amax())
        if longest > self.max_distance:
            raise ValueError(
                f"RandomDistances: tokens {longest} apart do not fit max_distance="
                f"{self.max_distance}; raise max_distance and train again"
            )
        drawn = 1 + random_subset(self.max_distance, longest)[0]
        return sent(torch.cat([drawn.new_zeros(1), drawn]), values.device)
