"""An encoding of distance that meets random distances."""

from functools import partial

import torch
from torch import Tensor

from lightning_posenc.checks import made, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import Factory, PositionalEncoding
from lightning_posenc.positional.bias.base import OfDistance
from lightning_posenc.positional.compose.base import Switch
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.randomized import random_subset
from lightning_posenc.positions.recording import is_recorded


class RandomizedDistances(Switch):
    """Neighbours are some random distance apart, second neighbours some larger one, and so on.

    Every forward, in training and testing, draws as many distances as it needs from
    1..max_distance, without replacement, and sorts them: all tokens that are n apart count as the
    n-th of them apart, those to the future as its negative. So a model that was trained on short
    sequences has met large distances. Unlike the differences of `Randomized` positions the
    distances stay the same everywhere in the sequence.

    Source: Ruoss et al. 2023, "Randomized Positional Encodings Boost Length Generalization of
    Transformers", arXiv:2305.16843, for relative encodings and ALiBi. Deviations: one draw serves
    all layers; `PerLayer` of several draws for each. In a bidirectional model the authors' code
    clamps an index, so that distance 0 and all of the future share one row; here, as in the paper,
    a distance to the future is its own.

    Args:
        dims: Sizes of the model.
        encoding: Makes an encoding of distance: TransformerXL, WaveletBias, or a RelativeBias such
            as ALiBi or T5Bias.
        max_distance: The largest distance that the model shall ever see.

    Raises:
        ValueError: If the encoding is not one of distance, if there is no distance to draw, on
            positions between whole numbers, and on tokens farther apart than `max_distance`.
    """

    source = Paper(
        "Ruoss et al.",
        2023,
        "Randomized Positional Encodings Boost Length Generalization of Transformers",
        "2305.16843",
    )

    def __init__(self, dims: Dims, encoding: Factory, max_distance: int = 2047) -> None:
        whole(self, "max_distance", max_distance)
        part = made(self, "encoding", encoding, PositionalEncoding, dims)
        if not isinstance(part, OfDistance):
            raise ValueError(
                f"RandomizedDistances: {type(part).__name__} computes nothing from distances alone;"
                " take TransformerXL, WaveletBias or a RelativeBias (ALiBi, T5Bias, …), or the "
                "positions Randomized"
            )
        super().__init__(dims, [part])
        part.stretch = _Drawn(max_distance)

    @classmethod
    def of(cls, encoding: Factory, max_distance: int = 2047) -> Factory:
        """Bind the encoding and leave the dims open."""
        return partial(cls, encoding=encoding, max_distance=max_distance)

    def depends_on_length(self, positions: Tensor) -> str:
        return (
            "RandomizedDistances: draws anew in every forward, so remembered keys would be of "
            "other distances"
        )

    def serving(self, layer: int) -> tuple[int, int] | None:
        return 0, layer


class _Drawn:
    """Maps whole distances to drawn ones."""

    def __init__(self, max_distance: int) -> None:
        self.max_distance = max_distance

    def __call__(self, delta: Tensor) -> Tensor:
        if delta.is_floating_point():
            raise ValueError(
                "RandomizedDistances: wants whole positions, and got some between them; choose "
                "positions such as Consecutive"
            )
        if is_recorded():
            raise ValueError(
                "RandomizedDistances: draws as many distances as occur, anew in every forward, "
                "which no exported or traced program can: export the encoding by itself"
            )
        longest = int(delta.abs().amax())
        if longest > self.max_distance:
            raise ValueError(
                f"RandomizedDistances: tokens {longest} apart do not fit max_distance="
                f"{self.max_distance}; raise max_distance and train again"
            )
        drawn = 1 + random_subset(self.max_distance, longest)[0]
        drawn = torch.cat([drawn.new_zeros(1), drawn]).to(delta.device)
        return delta.sign() * drawn[delta.abs()]
