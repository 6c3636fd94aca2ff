"""What the parts of a model ask to be added to its loss."""

from collections.abc import Iterator
from inspect import signature
from numbers import Real
from typing import Any

from torch import Tensor, nn

from lightning_posenc.positional.returned import misgiven


def penalties(module: nn.Module) -> Tensor | None:
    """Sum what every module below asks for by a method `penalty()`; None if nothing does.

    An encoding's smoothness, a router's balance. The method takes no arguments and returns a
    scalar or None; a module that has it answers for all that is in it.

    Raises:
        ValueError: If one takes arguments, or returns anything else.
    """
    total: Tensor | None = None
    for term in _asked(module):
        total = term if total is None else total + term
    return total


def _asked(module: nn.Module) -> Iterator[Any]:
    for child in module.children():
        # A module that lacks a name is slow to say so: it looks among all that it has.
        has_one = hasattr(type(child), "penalty") or "penalty" in vars(child)
        penalty = child.penalty if has_one else None
        if not callable(penalty):
            yield from _asked(child)
            continue
        try:
            signature(penalty).bind()
        except TypeError as error:
            name = f"{type(child).__name__}.penalty"
            raise ValueError(f"{name} must take nothing but self: {error}") from None
        if (term := penalty()) is None:
            continue
        if not (isinstance(term, Real) or (isinstance(term, Tensor) and term.dim() == 0)):
            raise misgiven(child, "penalty", term, "a scalar, (), or None")
        yield term
