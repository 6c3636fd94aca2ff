"""Use what was trained: labels, tags, texts and continuations for inputs that a person has."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_posenc.inference.loading import load
    from lightning_posenc.inference.predictor import Predictor

__all__ = ["Predictor", "load"]

# Imported on use: the command line's help and mistakes do not wait for torch.
_HOMES = {
    "Predictor": "lightning_posenc.inference.predictor",
    "load": "lightning_posenc.inference.loading",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
