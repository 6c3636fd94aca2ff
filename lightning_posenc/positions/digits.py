"""Where a digit stands in its number. Shapes: B sequences, T tokens."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_posenc.checks import several, whole
from lightning_posenc.draws import sent
from lightning_posenc.positions.sequences import Sequences


def tokens_among(reader: object, sequences: Sequences, ids: Sequence[int]) -> Tensor:
    """Which tokens (B, T) have one of the ids; padding has none, whatever it is filled with.

    Raises:
        ValueError: If there are no tokens, naming their reader.
    """
    tokens, real = sequences.tokens, sequences.real
    if tokens is None:
        raise ValueError(
            f"{type(reader).__name__} reads the tokens: call the encoder with tokens=, as the "
            "modules do, or give positions="
        )
    found = torch.isin(tokens, sent(torch.tensor(ids, device="cpu"), tokens.device))
    return found if real is None else found & real


def place_in_run(mask: Tensor, documents: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """How many digits of its own number stand before each digit, and how many after it.

    A number is a run of digits that nothing interrupts; a document's boundary does. What is said
    of tokens that are no digits means nothing.

    Args:
        mask: (B, T) bool.
        documents: (B, T) ids, or None.
    """
    cut = mask[:, 1:] != mask[:, :-1]
    if documents is not None:
        cut = cut | (documents[:, 1:] != documents[:, :-1])
    edge = cut.new_ones(len(cut), 1)
    index = torch.arange(mask.shape[1], device=mask.device)
    first = torch.where(torch.cat((edge, cut), dim=1), index, 0).cummax(dim=1).values
    last = torch.where(torch.cat((cut, edge), dim=1), index, mask.shape[1])
    last = last.flip(1).cummin(dim=1).values.flip(1)
    return index - first, last - index


def checked_ids(owner: object, name: str, ids: Sequence[int]) -> tuple[int, ...]:
    """Ids of tokens, checked to be whole numbers from 0 on, and at least one.

    Raises:
        ValueError: if they are not.
    """
    return tuple(whole(owner, name, each, 0) for each in several(owner, name, ids))
