"""An encoding as the judge sees it: what is said of it, and what is found out.

Shapes: B sequences, T tokens, A axes.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lightning_posenc.catalogue.described import example_positions
from lightning_posenc.checks import maker
from lightning_posenc.positional import Factory, PositionalEncoding
from lightning_posenc.positions import Consecutive, Places, Positions
from lightning_posenc.testing.oracle import Oracle
from lightning_posenc.testing.sizes import AFFORDABLE, LENGTH, dims


def unplaced(positions: Tensor) -> Tensor:
    """The positions as they are."""
    return positions


def on_axes(*steps: int) -> Callable[[Tensor], Tensor]:
    """Positions on axes along each of which they go by another step: (B|1, T) to (B|1, T, A)."""
    return partial(_stepping, steps)


def _stepping(steps: tuple[int, ...], positions: Tensor) -> Tensor:
    return torch.stack([step * positions for step in steps], dim=-1)


def in_rows_of_two(positions: Tensor) -> Tensor:
    """Places of a grid of two columns, row by row: (B|1, T) to (B|1, T, 2)."""
    return torch.stack([positions // 2, positions % 2], dim=-1)


def apart(positions: Tensor) -> Tensor:
    """The distances of nodes on a line, as of a graph: (B|1, T) to (B|1, T, T)."""
    return (positions.unsqueeze(-1) - positions.unsqueeze(-2)).abs()


@dataclass(frozen=True)
class Case:
    """An encoding, and what is claimed of it; None claims nothing.

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
        wiring: Arguments of the encoder besides.
    """

    name: str
    factory: Factory
    oracle: Oracle | None = None
    shift_invariant: bool | None = None
    order_aware_bidirectional: bool | None = None
    content_dependent: bool | None = None
    differentiable: bool | None = None
    limit: int | None = None
    limited_afar: bool = False
    positions: Callable[[], Positions] = Consecutive
    place: Callable[[Tensor], Tensor] = unplaced
    refused: str = ""
    wiring: Mapping[str, Any] = field(default_factory=dict)

    @property
    def extrapolates(self) -> bool:
        """Whether any length can be served."""
        return self.limit is None and not self.limited_afar


def found_out(make: Factory, oracle: Oracle | None = None, **claims: Any) -> Case:
    """A case of which nobody says how its positions look, how far it reaches, and whether it
    refuses a bidirectional model: all that is found out by making it.

    Args:
        make: A class whose other arguments have defaults, or a function of the dims.
        oracle: What it adds.
        claims: More of the fields of `Case`, in place of what would be found out too.

    Raises:
        ValueError: If there is no such field, it makes no encoding, or one that takes no positions
            that the judge can draw, or too few of them.
    """
    known = set(inspect.signature(Case).parameters) - {"factory", "oracle"}
    if unknown := claims.keys() - known:
        raise ValueError(
            f"check_encoding: nothing is called {sorted(unknown)[0]}: "
            f"claim some of {', '.join(sorted(known))}"
        )
    maker("check_encoding", "make", make, PositionalEncoding, dims(True))
    encoding = make(dims(True))
    name = type(encoding).__name__
    if "place" not in claims:
        claims["place"] = _place(encoding)
    if "limit" not in claims and not claims.get("limited_afar"):
        place, ends = claims["place"], torch.tensor([[0, 1]])
        served = [n for n in range(1, AFFORDABLE + 1) if _serves(encoding, place(n * ends))]
        claims["limit"] = None if len(served) == AFFORDABLE else len(served) + 1
    limit = claims.get("limit")
    if limit is not None and limit < LENGTH:
        raise ValueError(
            f"check_encoding: {name} serves {limit} tokens, and is judged on {LENGTH}: give one "
            f"that serves more, as in partial({name}, max_length=32)"
        )
    if "refused" not in claims:
        claims["refused"] = _refusal(make)
    return Case(claims.pop("name", name), make, oracle, **claims)


def _place(encoding: PositionalEncoding) -> Callable[[Tensor], Tensor]:
    """The first of a line, a plane, a space and a graph whose positions an encoding takes.

    Along the diagonal, where the limit of a grid is that of its side.
    """
    for n in range(LENGTH, 1, -1):  # a table may end below what is asked
        line = torch.arange(n).unsqueeze(0)
        for place in (unplaced, on_axes(1, 1), on_axes(1, 1, 1), apart):
            if _serves(encoding, place(line)):
                return place
    example_positions(encoding, 2)  # raises, and says why
    return unplaced


def _serves(encoding: PositionalEncoding, positions: Tensor) -> bool:
    try:
        encoding.check(Places(positions))
    except ValueError:
        return False
    return True


def _refusal(make: Factory) -> str:
    try:
        make(dims(False))
    except ValueError as error:
        return str(error)
    return ""
