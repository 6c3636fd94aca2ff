"""An encoding as the suite sees it.

Shapes: B sequences, T tokens, A axes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from lightning_posenc.positional import Factory
from lightning_posenc.positions import Consecutive, Positions
from tests.oracles.base import Oracle


def unplaced(positions: Tensor) -> Tensor:
    """The positions as they are."""
    return positions


def on_axes(*steps: int) -> Callable[[Tensor], Tensor]:
    """Positions on axes along each of which they go by another step: (B|1, T) to (B|1, T, A)."""
    return partial(_stepping, steps)


def _stepping(steps: tuple[int, ...], positions: Tensor) -> Tensor:
    return torch.stack([step * positions for step in steps], dim=-1)


@dataclass(frozen=True)
class Case:
    """An encoding as the suite sees it.

    Args:
        name: The test's id.
        factory: Makes the encoding from the dims.
        oracle: What it adds, in float64.
        shift_invariant: Adding a constant to all positions changes no output.
        order_aware_bidirectional: A bidirectional model tells a sequence from its reverse.
        content_dependent: What is added to the logits depends on the tokens.
        differentiable: The output changes smoothly with float positions.
        limit: The longest sequence that can be served; a longer one is a ValueError naming it.
        limited_afar: Whether there is such a limit, but beyond the lengths that tests can afford.
        positions: Makes the sampler of positions.
        place: Maps one number for each token (B|1, T) to the positions that the encoding takes.
        refused: Why a bidirectional model is refused; empty if it is not.
    """

    name: str
    factory: Factory
    oracle: Oracle
    shift_invariant: bool = True
    order_aware_bidirectional: bool = True
    content_dependent: bool = False
    differentiable: bool = True
    limit: int | None = None
    limited_afar: bool = False
    positions: Callable[[], Positions] = Consecutive
    place: Callable[[Tensor], Tensor] = unplaced
    refused: str = ""

    @property
    def extrapolates(self) -> bool:
        """Whether any length can be served."""
        return self.limit is None and not self.limited_afar
