"""What the forward of a model of Hugging Face takes."""

from inspect import signature
from typing import Any

from torch import nn


def takes(model: nn.Module, name: str) -> bool:
    """Whether the model's forward has an argument of that name."""
    return name in signature(type(model).forward).parameters


def uncached(model: nn.Module) -> dict[str, Any]:
    """The argument that keeps a model from filling a cache which nobody reads, if it has one."""
    return {"use_cache": False} if takes(model, "use_cache") else {}
