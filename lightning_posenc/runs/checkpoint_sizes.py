"""A checkpoint's config asks for no larger model than its own weights are of.

Otherwise a few kilobytes could ask for minutes and gigabytes before the weights are seen not to
fit.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch

SERVED = 2**20  # rows, channels, ... that any file may ask for: they cost a moment
_BLOCK = re.compile(r"\bencoder\.(?:\w+\.)*?blocks\.(\d+)\.")
_WIDTH = re.compile(r"\bencoder\.(?:\w+\.)*?blocks\.0\.attention\.out\.weight$")
_NO_SIZES = {"base", "seed"}  # whole numbers of an encoding that no tensor is as large as


def oversized(config: Any, weights: Any) -> str | None:
    """What a config asks for beyond the weights that it came with; None if nothing.

    Args:
        config: Of the model: `{class_path, init_args: {encoder, positional, ...}}`.
        weights: By name; whatever is no tensor is passed over.
    """
    arguments = config.get("init_args", config) if isinstance(config, Mapping) else {}
    tensors = {
        name: value
        for name, value in (weights.items() if isinstance(weights, Mapping) else ())
        if isinstance(value, torch.Tensor)
    }
    if not tensors or not isinstance(arguments, Mapping):
        return None
    encoder = arguments.get("encoder")
    if isinstance(encoder, Mapping):  # of a program, it is an object with arguments
        encoder = encoder.get("init_args", encoder)
    own: dict[str, int] = {}
    if blocks := {found[1] for name in tensors if (found := _BLOCK.search(name))}:
        own["n_layers"] = len(blocks)
    widths = [value.shape[0] for name, value in tensors.items() if _WIDTH.search(name)]
    if widths:
        own["d_model"] = widths[0]
    for name, held in own.items():
        asked = encoder.get(name) if isinstance(encoder, Mapping) else None
        if isinstance(asked, int) and asked > held:
            return f"model.encoder.{name}={asked}, and its weights are of {held}"
    most = max(SERVED, sum(value.numel() for value in tensors.values()))
    for part in ("encoder", "positional", "positions", "inputs", "vocab_size", "n_classes"):
        for name, asked in _whole_numbers(arguments.get(part), f"model.{part}"):
            if asked > most:
                return f"{name}={asked}, and its weights are {most} numbers at most"
    return None


def _whole_numbers(value: Any, name: str) -> Iterator[tuple[str, int]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            if key not in _NO_SIZES:
                yield from _whole_numbers(each, name if key == "init_args" else f"{name}.{key}")
    elif isinstance(value, list):
        for each in value:
            yield from _whole_numbers(each, name)
    elif isinstance(value, int):
        yield name, value
