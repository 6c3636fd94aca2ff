"""What an encoder is called with, compared once at its door.

Shapes are always compared. Values are read where that makes nobody wait: on the CPU, and not while
a graph is captured.

Shapes: B sequences, T tokens at hand, S tokens in all (those in a cache first) or of
another sequence, D = d_model, A axes.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from lightning_posenc.checks import wrong
from lightning_posenc.compat.torch import is_transformed
from lightning_posenc.positions import Places

FARTHEST = 2**53
"""The largest position: differences of such are whole numbers still, in float64 too."""
_WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def check_inputs(x: Tensor, d_model: int) -> None:
    """Compare embedded tokens with the model's width.

    Raises:
        ValueError: If x is not (B, T, D) of a floating dtype.
    """
    _is_tensor("x", x)
    if x.dim() != 3 or x.shape[-1] != d_model or not x.is_floating_point():
        raise ValueError(
            f"Encoder: x must be embedded tokens (B, T, {d_model}) of a floating dtype, got "
            f"{_looks(x)}"
        )


def check_memory(memory: Any, x: Tensor) -> None:
    """Compare another sequence with the tokens (B, T, D) that read it.

    Raises:
        ValueError: If it is no `Memory` of B sequences of at least one token of width D.
    """
    states: Any = getattr(memory, "states", None)
    _is_tensor("memory", states, "Decoder")
    n_sequences, _, d_model = x.shape
    if states.dim() != 3 or (len(states), states.shape[2]) != (n_sequences, d_model):
        raise ValueError(
            f"Decoder: memory must be Memory(states, places) with states ({n_sequences}, S, "
            f"{d_model}), got {_looks(states)}"
        )
    if not states.shape[1]:
        raise ValueError("Decoder: memory has no tokens: there is nothing to read")


def check_told(
    n_sequences: int,
    n_tokens: int,
    lengths: Tensor | None,
    documents: Tensor | None,
    tokens: Tensor | None,
) -> None:
    """Compare what is told of the tokens with their number, (B,) or (B, S), where it is told.

    Raises:
        ValueError: If it is of another shape or dtype, or a document is in several pieces.
    """
    if lengths is not None:
        check_lengths(lengths, n_sequences, n_tokens)
    for name, ids in (("documents", documents), ("tokens", tokens)):
        if ids is not None:
            check_ids(name, ids, n_sequences, n_tokens)
    if documents is not None and _readable(documents):
        _check_pieces(documents)


def check_lengths(lengths: Tensor, n_sequences: int, n_tokens: int) -> None:
    """Compare the true lengths (B,) with the sequences.

    Raises:
        ValueError: If they are not B whole numbers from 0 to S.
    """
    _is_tensor("lengths", lengths)
    if lengths.dtype not in _WHOLE or lengths.shape != (n_sequences,):
        raise ValueError(
            f"Encoder: lengths must be whole numbers ({n_sequences},), one for each sequence, got "
            f"{_looks(lengths)}"
        )
    if _readable(lengths) and n_sequences:
        low, high = (int(end) for end in lengths.aminmax())
        if low < 0 or high > n_tokens:
            raise ValueError(
                f"Encoder: lengths must lie between 0 and the {n_tokens} tokens of a sequence, got "
                f"{low if low < 0 else high}"
            )


def check_ids(name: str, ids: Tensor, n_sequences: int, n_tokens: int) -> None:
    """Compare a whole number for each token, (B, S): documents, or token ids.

    Raises:
        ValueError: If they are not.
    """
    _is_tensor(name, ids)
    if ids.dtype not in _WHOLE or ids.shape != (n_sequences, n_tokens):
        raise ValueError(
            f"Encoder: {name} must be whole numbers ({n_sequences}, {n_tokens}), one for each "
            f"token, got {_looks(ids)}"
        )


def _check_pieces(documents: Tensor) -> None:
    """Compare how often the document changes along a row with how many there are, where ids do
    not just grow.
    """
    if bool((documents[:, 1:] >= documents[:, :-1]).all()):
        return
    changes, others = (
        (ids[:, 1:] != ids[:, :-1]).sum(dim=1) for ids in (documents, documents.sort(dim=1).values)
    )
    if bool((changes > others).any()):
        row = int((changes > others).int().argmax())
        raise ValueError(
            f"Encoder: documents must be in one piece each, and row {row} comes back to one that "
            "it left: give each piece an id of its own"
        )


def checked_tokens(tokens: Tensor, vocab_size: int) -> Tensor:
    """Token ids (B, T) in int64, compared with the vocabulary before they are embedded.

    Raises:
        ValueError: If they are not whole numbers from 0 to V - 1.
    """
    _is_tensor("tokens", tokens)
    if tokens.dtype not in _WHOLE or tokens.dim() != 2:
        raise ValueError(f"tokens must be whole numbers (B, T), got {_looks(tokens)}")
    if _readable(tokens) and tokens.numel():
        low, high = (int(end) for end in tokens.aminmax())
        if low < 0 or high >= vocab_size:
            raise ValueError(
                f"tokens must lie between 0 and {vocab_size - 1}, as vocab_size={vocab_size} says, "
                f"got {low if low < 0 else high}"
            )
    return tokens.long()


def checked_places(
    positions: Tensor | Places,
    n_sequences: int,
    n_tokens: int,
    documents: Tensor | None = None,
    lengths: Tensor | None = None,
    owner: str = "Encoder",
) -> Places:
    """Places that every encoding can count on: int64, float32 or float64, of the right shape.

    Args:
        positions: (B|1, S), or (B|1, S, A) on A axes; narrower whole numbers are widened, for they
            would wrap where they are subtracted. Or places, whose values are all that.
        n_sequences: B.
        n_tokens: S.
        documents: (B, S) ids, checked; those of the places, if any, give way.
        lengths: (B,), likewise.
        owner: Who gave them.

    Raises:
        ValueError: On other shapes, in half precision (of 4096 positions in bfloat16 only 769 stay
            distinct), and where a number is not finite.
    """
    places = positions if isinstance(positions, Places) else Places(positions)
    values = places.values
    _is_tensor("positions", values, owner)
    shape = tuple(values.shape)
    if (
        len(shape) not in (2, 3)
        or 0 in shape[2:]
        or shape[0] not in (1, n_sequences)
        or shape[1] != n_tokens
    ):
        batch = "1" if n_sequences == 1 else f"{n_sequences} or 1"
        raise ValueError(
            f"{owner}: positions must be ({batch}, {n_tokens}) or ({batch}, {n_tokens}, axes), one "
            f"for each token, got {_looks(values)}"
        )
    whole = values.dtype in _WHOLE
    if whole:
        values = values.long()
    elif values.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"{owner}: positions in {values.dtype} do not stay distinct: give whole numbers, or "
            "float32"
        )
    places = places._replace(
        values=values,
        documents=places.documents if documents is None else documents,
        lengths=places.lengths if lengths is None else lengths,
    )
    if places.low is not None or not _readable(values) or not values.numel():
        return places
    low, high = places.bounds()
    if not math.isfinite(high - low):
        raise ValueError(f"{owner}: positions must be finite, got some that are not")
    if whole and max(-low, high) > FARTHEST:
        raise ValueError(
            f"{owner}: positions must lie within ±2^53, got {low if -low > high else high}"
        )
    return places._replace(low=low, high=high)


def in_full_precision(device: str) -> AbstractContextManager[Any]:
    """Where positions are computed with: autocast is off, if it was on.

    Args:
        device: Its type.
    """
    if torch.compiler.is_compiling() or torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()  # entered in a tenth of the time, at every step of decoding


def _is_tensor(name: str, value: Any, owner: str = "Encoder") -> None:
    if not isinstance(value, Tensor):
        raise wrong(owner, name, value, "be a tensor")


def _looks(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} of {tensor.dtype}"


def _readable(tensor: Tensor) -> bool:
    """Whether its values can be read at once."""
    captured = torch.compiler.is_compiling() or torch.jit.is_tracing()
    return tensor.device.type == "cpu" and not captured and not is_transformed(tensor)
