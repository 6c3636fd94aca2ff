"""What `torch.compile` may be told by a config."""

from collections.abc import Mapping
from typing import Any

import torch

from lightning_posenc.compat.torch import modes_of_compile
from lightning_posenc.mistakes.one_line import did_you_mean

_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "fullgraph": ((bool,), "true or false"),
    "dynamic": ((bool, type(None)), "true, false or null"),
    "backend": ((str,), "the name of a backend"),
    "mode": ((str, type(None)), "the name of a mode"),
    "options": ((Mapping, type(None)), "a mapping"),
    "disable": ((bool,), "true or false"),
}


def checked_options(options: bool | Mapping[str, Any]) -> dict[str, Any] | bool:
    """The keyword arguments of `torch.compile`; False where nothing is compiled.

    Raises:
        ValueError: On an option that it does not have, or whose value is of another kind.
    """
    if isinstance(options, bool):
        return {} if options else False
    for name, value in options.items():
        if name not in _KINDS:
            raise ValueError(f"compile has no option {name!r}: choose from {', '.join(_KINDS)}")
        kinds, what = _KINDS[name]
        if not isinstance(value, kinds) and not (name == "backend" and callable(value)):
            raise ValueError(f"compile: {name} is {what}, got {value!r}")
    for name, known in _KNOWN.items():
        value = options.get(name)
        if isinstance(value, str) and value not in known():
            hint = did_you_mean(value, known(), f"choose from {', '.join(sorted(known()))}")
            raise ValueError(f"compile: torch has no {name} {value!r}: {hint}")
    return dict(options)


def _backends() -> list[str]:
    return torch.compiler.list_backends(exclude_tags=None)


_KNOWN = {"backend": _backends, "mode": modes_of_compile}
