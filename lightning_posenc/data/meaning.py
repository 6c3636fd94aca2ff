"""What a checkpoint keeps of its data, so that its numbers keep their meaning."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

FORMAT = "lightning_posenc_data"  # marks the state of a data module; its value counts versions
VERSION = 1
HASHED = 1 << 20  # numbers of an array that its digest depends on, evenly spread
DEEPEST = 8  # objects within each other that are described
SHOWN = 5  # names that a line gives


def described(value: Any, depth: int = 0) -> Any:
    """Plain values that say what an object is: what `weights_only` loads, and `==` compares.

    An object becomes its class and its public attributes; nothing is ever built from that.

    Args:
        value: anything.
        depth: within how many objects it lies; beyond `DEEPEST` the class alone is told.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Tensor):
        value = value.detach().cpu().float().numpy()
    if isinstance(value, np.ndarray):
        return digest(value)
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if depth > DEEPEST:
        return kind
    if isinstance(value, Mapping):
        return {str(key): described(each, depth + 1) for key, each in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if isinstance(value, list | tuple):
        return [described(each, depth + 1) for each in value]
    attributes = {k: v for k, v in getattr(value, "__dict__", {}).items() if k[0] != "_"}
    told = {name: described(each, depth + 1) for name, each in attributes.items()}
    return {"class": kind} | told


def differences(
    now: Mapping[str, Any], then: Mapping[str, Any], prefix: str = "data"
) -> Iterator[str]:
    """Say each value that is not what it was, with both; what only one of the two has is left out.

    Args:
        now: described values by name.
        then: those of a checkpoint.
        prefix: what the names are called by.
    """
    for name, value in now.items():
        before = then.get(name, value)
        if value == before:
            continue
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            if value.get("class") == before.get("class"):
                yield from differences(value, before, f"{prefix}.{name}")
                continue
            value, before = (each.get("class", each) for each in (value, before))
        yield f"{prefix}.{name}={value}, the checkpoint was trained with {before}"


def digest(*arrays: NDArray[Any]) -> str:
    """A short name of what some arrays hold; of long ones a part is looked at, evenly spread."""
    found = hashlib.blake2b(digest_size=8)
    for array in arrays:
        flat = np.asarray(array).ravel()
        found.update(f"{flat.dtype.kind}{len(flat)}".encode())
        part = flat[:: max(1, len(flat) // HASHED)]
        if part.dtype.kind in "iub":
            part = part.astype(np.int64)
        found.update(np.ascontiguousarray(part).tobytes())
    return found.hexdigest()


def state_of(checkpoint: Mapping[str, Any], kind: type) -> dict[str, Any] | None:
    """What a checkpoint keeps of the data it was trained on; None if it keeps nothing.

    Args:
        checkpoint: its contents.
        kind: of the data module that is to take it over.

    Raises:
        ValueError: if the checkpoint's data is of another kind, or not as it is written.
    """
    kept = {
        name: state
        for name, state in checkpoint.items()
        if isinstance(state, dict) and FORMAT in state
    }
    for each in kind.__mro__:
        if each.__qualname__ in kept:
            return _whole(kept[each.__qualname__], each.__qualname__)
    if kept:
        raise ValueError(
            f"data={kind.__name__}: the checkpoint was trained on data of {next(iter(kept))},"
            f" whose numbers mean other things: give data of {next(iter(kept))}"
        )
    return None


def _whole(state: dict[str, Any], name: str) -> dict[str, Any]:
    """A state that has all its parts."""
    lengths = state.get("lengths", "missing")
    is_range = isinstance(lengths, list | tuple) and [*map(type, lengths)] == [int, int]
    wrong = [part for part in ("options", "meaning", "stream") if type(state.get(part)) is not dict]
    wrong += [] if lengths is None or is_range else ["lengths"]
    if wrong:
        raise ValueError(
            f"the checkpoint's {name} is not as fit writes it (without {', '.join(wrong)}): take "
            "another checkpoint"
        )
    return state


def plain_options(state: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the data of a checkpoint that are plain values, or lists of them."""

    def is_plain(value: Any) -> bool:
        return value is None or isinstance(value, bool | int | float | str)

    return {
        name: value
        for name, value in state["options"].items()
        if is_plain(value) or (isinstance(value, list) and all(map(is_plain, value)))
    }


def same_place(one: str, other: str) -> bool:
    """Whether two paths name the same source."""
    if one == other:
        return True
    first, second = (Path(path).expanduser() for path in (one, other))
    return first.exists() and first.resolve() == second.resolve()


def listed(names: Mapping[Any, int] | list[Any]) -> str:
    """Some names for a person to read, with their counts if they have any."""
    counts = names if isinstance(names, Mapping) else dict.fromkeys(names)
    shown = [f"{name} ({n})" if n else str(name) for name, n in list(counts.items())[:SHOWN]]
    more = f" and {len(counts) - SHOWN} more" if len(counts) > SHOWN else ""
    return ", ".join(shown) + more
