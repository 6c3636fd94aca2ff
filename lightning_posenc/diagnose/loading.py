"""Where subjects come from: a module and its data."""

import copy
from collections.abc import Iterator
from functools import partial
from typing import Any

from torch import Tensor

from lightning_posenc.data import Batch, SyntheticData
from lightning_posenc.diagnose.subject import N_SCORED, OwnModel, Recorded
from lightning_posenc.modules import EncoderModule

LONGER = (2, 4)  # times the trained length, tried even if no config asks for it
MOST_TOKENS = 4096  # of a longer sequence
MOST_NUMBERS = 1 << 25  # of N_SCORED larger images: 128 MB


def subject_of(
    module: EncoderModule,
    data: Any,
    name: str,
    steps: int | None,
    recorded: Recorded | None = None,
    rate: float | None = None,
) -> OwnModel:
    """Take in a model of this package and the first sequences of its data.

    Args:
        module: The model; put in evaluation mode.
        data: Its datamodule, prepared and set up.
        name: What the page calls it.
        steps: Optimizer steps that it was trained for; None if nobody knows.
        recorded: What the last validation said while it was trained; None if nobody knows.
        rate: Learning rate that it was trained at, before its schedule; None if nobody knows.
    """
    module.eval()
    batches = _taken(data.val_dataloader())
    trained = _trained_length(data, batches)
    asked = tuple(data.eval_lengths)
    wanted = [*asked, *(times * trained for times in LONGER)]
    others: dict[int, list[Batch]] = {}
    for length in sorted(set(wanted) - {trained}):
        if length in asked or _served(batches[0].tokens, length, trained):
            found = of_length(data, length)
            if found:
                others[length] = found
    bounds: dict[int, float] = getattr(data, "bag_of_tokens_bounds", dict)()
    return OwnModel(
        module,
        batches,
        name,
        steps,
        others,
        asked,
        trained,
        bounds.get(trained),
        training=partial(_training, data),
        validation=data.val_dataloader,
        endless=isinstance(data, SyntheticData),
        recorded=recorded,
        rate=rate,
        of_a_batch=getattr(data, "batch_size", None),
    )


def _served(tokens: Tensor, length: int, trained: int) -> bool:
    """Whether sequences of a length that nobody asked for are short enough to be tried.

    Args:
        tokens: Of the trained length: ids, frames, or images of that many pixels on a side.
        length: In the data's unit.
        trained: Likewise.
    """
    if tokens.dim() != 4:
        return length <= MOST_TOKENS
    numbers = N_SCORED * tokens[0].numel() * (length / trained) ** 2
    return numbers <= MOST_NUMBERS


def _taken(loader: Any) -> list[Batch]:
    """At least N_SCORED sequences, if there are so many."""
    batches: list[Batch] = []
    for batch in loader:
        batches.append(batch)
        if sum(len(each.tokens) for each in batches) >= N_SCORED:
            break
    return batches


def _training(data: Any) -> Iterator[Batch]:
    """Batches to train on; none where there is only text to be tested."""
    try:
        yield from data.train_dataloader()
    except (ValueError, KeyError, OSError, AttributeError):
        return


def of_length(data: Any, length: int) -> list[Batch]:
    """Test sequences of one length; none if the data cannot make them."""
    other = copy.copy(data)
    other.eval_lengths = [length]
    try:
        (loader,) = other.test_dataloader()
        return _taken(loader)
    except ValueError:
        return []


def _trained_length(data: Any, batches: list[Batch]) -> int:
    lengths = getattr(data, "trained_lengths", None)
    return batches[0].tokens.shape[1] if lengths is None else lengths[1]
