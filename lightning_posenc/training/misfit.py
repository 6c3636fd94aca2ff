"""Weights that do not fit the model: which option differs from the checkpoint's."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_MISFIT = re.compile(r"Error\(s\) in loading state_dict")
# Options that change no weight.
_NO_SHAPES = ("optimizer", "schedule", "compile", "checkpoint_activations", "positional_")
NAMED = 3  # options that a line names


def is_misfit(error: BaseException) -> bool:
    """Whether this is torch's complaint about weights that are missing, too many, or misshapen."""
    return isinstance(error, RuntimeError) and bool(_MISFIT.search(str(error)))


def explained(
    error: BaseException, path: object, now: Mapping[str, Any], then: Mapping[str, Any]
) -> str:
    """Say in one line why a checkpoint's weights do not fit.

    Args:
        error: torch's complaint.
        path: the checkpoint.
        now: the model's config as it is.
        then: that of the checkpoint.
    """
    told = sorted(_differences(now, then, "model"))
    if told:
        more = f" and {len(told) - NAMED} more" if len(told) > NAMED else ""
        why = "; ".join(told[:NAMED]) + more
        return f"--ckpt_path {path} does not fit: {why}: leave out what differs"
    problems = [line.strip() for line in str(error).splitlines()[1:] if line.strip()]
    return f"--ckpt_path {path} does not fit the model: {(problems or [str(error)])[0]}"


def _differences(now: Any, then: Any, name: str) -> Iterator[str]:
    if any(name.startswith(f"model.{option}") for option in _NO_SHAPES) or now == then:
        return
    if isinstance(now, Mapping) and isinstance(then, Mapping):
        if now.get("class_path") != then.get("class_path"):
            now, then = now.get("class_path", dict(now)), then.get("class_path", dict(then))
        else:
            for key in now.keys() | then.keys():
                inner = name if key == "init_args" else f"{name}.{key}"
                yield from _differences(now.get(key), then.get(key), inner)
            return
    yield f"{name}={now}, the checkpoint was trained with {then}"
