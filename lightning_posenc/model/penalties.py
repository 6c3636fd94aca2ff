"""What the parts of a model ask to be added to its loss."""

from collections.abc import Iterator

from torch import Tensor, nn


def penalties(module: nn.Module) -> Tensor | None:
    """Sum what every module below asks for by a method `penalty()`; None if nothing does.

    An encoding's smoothness, a router's balance. The method takes no arguments and returns a
    scalar or None; a module that has it answers for all that is in it.
    """
    total: Tensor | None = None
    for term in _asked(module):
        total = term if total is None else total + term
    return total


def _asked(module: nn.Module) -> Iterator[Tensor]:
    for child in module.children():
        penalty = getattr(child, "penalty", None)
        if not callable(penalty):
            yield from _asked(child)
        elif (term := penalty()) is not None:
            yield term
