"""Run the measurements of the table on an observed pass."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from lightning_posenc.diagnostics.metric_keys import Key, of_name
from lightning_posenc.diagnostics.observing.observe import Observation
from lightning_posenc.diagnostics.quantities import MEASUREMENTS, Measurement

ByLayer = Mapping[str, Mapping[int, Any]]
"""By quantity and layer: a number, or a tensor (H,) of numbers of heads."""


def measurement(name: str) -> Measurement:
    """The measurement of a name, or of the dotted path of one of a person's own.

    Raises:
        ValueError: If there is none.
    """
    for each in MEASUREMENTS:
        if each.name == name:
            return each
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(import_module(module), attribute) if module else None
    except (ImportError, AttributeError):
        found = None
    if not isinstance(found, Measurement):
        names = ", ".join(each.name for each in MEASUREMENTS)
        raise ValueError(
            f"measurements={name}: there is no such one, but {names}; one of your own is named by "
            "the dotted path of a Measurement"
        )
    return found


def measured(of: Measurement, seen: Observation, lengths: Tensor | None) -> ByLayer:
    """Measure.

    Args:
        of: What.
        seen: A forward pass.
        lengths: (B,) tokens of its sequences; None if all are full.
    """
    function = of.function
    return (named(function) if isinstance(function, str) else function)(seen, lengths)


def named(path: str) -> Any:
    """What a dotted path names."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def logged(found: ByLayer) -> dict[str, float | Tensor]:
    """Numbers by metric key: of every head where the table says so, else of the layer."""
    numbers: dict[str, float | Tensor] = {}
    for name, layers in found.items():
        row = of_name(name)
        for layer, value in layers.items():
            key = Key(name, layer=layer)
            if not isinstance(value, Tensor) or not value.dim():
                numbers[str(key)] = value
            elif row is not None and "{part" in row.form:
                parts = {str(key._replace(part=n)): each for n, each in enumerate(value)}
                numbers |= parts
            else:
                numbers[str(key)] = value.max() if row and row.largest else torch.mean(value)
    return numbers
