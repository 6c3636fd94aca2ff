"""All random numbers that a model draws: torch's own, and those of generators of its parts."""

from typing import Any

import torch
from torch import nn

State = dict[str, Any]


Generators = list[tuple[str, torch.Generator]]


def random_state(model: nn.Module, generators: Generators | None = None) -> State:
    """The state of every generator: torch's, the model's GPU's, and each that a module has.

    Args:
        model: The model.
        generators: Its own, if they are known: looking for them takes longer than their states.
    """
    device = _device(model)
    generators = generators_of(model) if generators is None else generators
    return {
        "cpu": torch.get_rng_state(),
        "device": None if device is None else torch.cuda.get_rng_state(device),
        "modules": {name: generator.get_state() for name, generator in generators},
    }


def set_random_state(model: nn.Module, state: State, generators: Generators | None = None) -> None:
    """Go on from a state; a GPU if it was of one, modules by their names."""
    torch.set_rng_state(state["cpu"].cpu())
    device, of_device = _device(model), state["device"]
    if device is not None and of_device is not None:
        torch.cuda.set_rng_state(of_device.cpu(), device)
    saved = state.get("modules", {})
    for name, generator in generators_of(model) if generators is None else generators:
        if name in saved:
            generator.set_state(saved[name].cpu())


def generators_of(model: nn.Module) -> Generators:
    """Every generator that a part of the model has, by its name there."""
    return [
        (f"{path}.{name}", value)
        for path, part in model.named_modules()
        for name, value in vars(part).items()
        if isinstance(value, torch.Generator)
    ]


def _device(model: nn.Module) -> torch.device | None:
    """The GPU that a model is on."""
    tensor = next(model.parameters(), None)
    return tensor.device if tensor is not None and tensor.device.type == "cuda" else None
