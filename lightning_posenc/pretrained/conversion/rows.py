"""A table of names, one line for what a part of ours holds and where Hugging Face keeps it.

A name is that of a module, whose `weight` and `bias` are meant, or of a parameter; `{l}` in it
stands for every layer. What Hugging Face keeps in another form (stacked, transposed, by head) says
so on its line, for both directions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Size, Tensor

State: TypeAlias = Mapping[str, Tensor]
Made: TypeAlias = Callable[[Sequence[Tensor], Sequence[Size]], list[Tensor]]

_ENDS = ("", ".weight", ".bias")


class Form(NamedTuple):
    """How tensors of the two sides are made of each other.

    Args:
        ours: Makes ours of theirs; the shapes are those wanted.
        theirs: Makes theirs of ours, likewise.
    """

    ours: Made
    theirs: Made


class Pairing(NamedTuple):
    """One line of a table.

    Args:
        ours: One name, or several that are made together.
        theirs: Likewise.
        form: How they are made of each other.
    """

    ours: str | tuple[str, ...]
    theirs: str | tuple[str, ...]
    form: Form = Form(lambda theirs, _: list(theirs), lambda ours, _: list(ours))

    def within(self, prefix: str) -> "Pairing":
        """The same line where their names stand below a prefix."""
        return self._replace(theirs=tuple(prefix + name for name in _several(self.theirs)))

    def turned(self) -> "Pairing":
        """The same line with the sides exchanged."""
        return Pairing(self.theirs, self.ours, Form(self.form.theirs, self.form.ours))


def _stacked(parts: Sequence[Tensor], _: Sequence[Size]) -> list[Tensor]:
    return [torch.cat(list(parts))]


def _unstacked(parts: Sequence[Tensor], shapes: Sequence[Size]) -> list[Tensor]:
    return list(parts[0].split([shape[0] for shape in shapes]))


def _transposed(parts: Sequence[Tensor], _: Sequence[Size]) -> list[Tensor]:
    return [part.T if part.dim() == 2 else part for part in parts]


STACKED = Form(_stacked, _unstacked)
"""Several of theirs are one of ours, such as queries, keys and values."""

TRANSPOSED = Form(_transposed, _transposed)
"""Their matrices map rows: GPT-2's `Conv1D`."""


def by_head(n_heads: int) -> Form:
    """Theirs has the queries, keys and values of a head together; ours those of all heads."""

    def ours(parts: Sequence[Tensor], _: Sequence[Size]) -> list[Tensor]:
        return [parts[0].unflatten(0, (n_heads, 3, -1)).transpose(0, 1).flatten(0, 2)]

    def theirs(parts: Sequence[Tensor], _: Sequence[Size]) -> list[Tensor]:
        return [parts[0].unflatten(0, (3, n_heads, -1)).transpose(0, 1).flatten(0, 2)]

    return Form(ours, theirs)


def for_tokens(beyond: int | None = None, fill: float = 0.0) -> Form:
    """Rows of a vocabulary, of which one side may have more: special tokens.

    Args:
        beyond: The row of theirs that those of ours are which theirs has not; None for zeros.
        fill: What is in the rows of theirs which ours has not.
    """

    def ours(parts: Sequence[Tensor], shapes: Sequence[Size]) -> list[Tensor]:
        part, n_rows = parts[0], shapes[0][0]
        more = part.new_zeros(max(n_rows - len(part), 0), *part.shape[1:])
        if beyond is not None and len(more):
            more[:] = part[beyond]
        return [torch.cat((part[:n_rows], more))]

    def theirs(parts: Sequence[Tensor], shapes: Sequence[Size]) -> list[Tensor]:
        part = parts[0]
        more = part.new_full((shapes[0][0] - len(part), *part.shape[1:]), fill)
        return [torch.cat((part, more))]

    return Form(ours, theirs)


def ours_of(
    rows: Sequence[Pairing], theirs: State, template: State
) -> tuple[dict[str, Tensor], set[str]]:
    """Make our weights of theirs.

    Args:
        rows: The table.
        theirs: Their weights, by name.
        template: Ours, whose shapes they are to have.

    Returns:
        Ours, by name, and the names of theirs that were read.
    """
    made: dict[str, Tensor] = {}
    read: set[str] = set()
    for ours_names, theirs_names, form in _matched(rows, template, theirs):
        parts = form.ours(
            [theirs[n] for n in theirs_names], [template[n].shape for n in ours_names]
        )
        made |= dict(zip(ours_names, parts, strict=True))
        read |= set(theirs_names)
    return made, read


def theirs_of(
    rows: Sequence[Pairing], ours: State, template: State
) -> tuple[dict[str, Tensor], set[str]]:
    """Make their weights of ours.

    Args:
        rows: The table.
        ours: Our weights, by name.
        template: Theirs, whose shapes they are to have.

    Returns:
        Theirs, by name, and the names of ours that were read.
    """
    return ours_of([row.turned() for row in rows], ours, template)


def by_layer(rows: Sequence[Pairing], n_layers: int) -> list[Pairing]:
    """The table with a line of its own for each layer."""

    def of(names: str | tuple[str, ...], layer: int) -> tuple[str, ...]:
        return tuple(name.replace("{l}", str(layer)) for name in _several(names))

    return [
        row._replace(ours=of(row.ours, layer), theirs=of(row.theirs, layer))
        for row in rows
        for layer in (range(n_layers) if "{l}" in "".join(_several(row.ours)) else range(1))
    ]


def _matched(
    rows: Sequence[Pairing], ours: State, theirs: State
) -> Iterator[tuple[list[str], list[str], Form]]:
    """The parameters of each line that both sides have."""
    for row in rows:
        for end in _ENDS:
            of_ours = [name + end for name in _several(row.ours)]
            of_theirs = [name + end for name in _several(row.theirs)]
            if ours.keys() >= set(of_ours) and theirs.keys() >= set(of_theirs):
                yield of_ours, of_theirs, row.form


def _several(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names
