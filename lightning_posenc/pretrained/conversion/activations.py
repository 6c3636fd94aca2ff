"""Activations by the names that Hugging Face gives them."""

from collections.abc import Callable
from functools import partial

from torch import nn

_TANH_GELU = partial(nn.GELU, approximate="tanh")
_MAKERS: dict[str, Callable[[], nn.Module]] = {
    "gelu": nn.GELU,
    "gelu_pytorch_tanh": _TANH_GELU,
    "gelu_new": _TANH_GELU,
    "gelu_fast": _TANH_GELU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "swish": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "mish": nn.Mish,
    "hardswish": nn.Hardswish,
}


def activation_of(name: str) -> Callable[[], nn.Module]:
    """What makes the activation of a name.

    Raises:
        ValueError: If torch has none such.
    """
    if name not in _MAKERS:
        raise ValueError(f"activation {name} has no counterpart among {', '.join(_MAKERS)}")
    return _MAKERS[name]


def name_of(activation: nn.Module) -> str | None:
    """The name of an activation; None if it has none, or options of its own."""
    for name, make in _MAKERS.items():
        other = make()
        if type(other) is type(activation) and other.extra_repr() == activation.extra_repr():
            return name
    return None
