"""Train deep transformers with pluggable positional encodings, and see whether position survives.

The names below are imported on first use: `import lightning_posenc` alone loads no torch, so that
the command line answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_posenc.dims import Dims
    from lightning_posenc.inference.loading import load
    from lightning_posenc.inference.predictor import Predictor
    from lightning_posenc.model.encoder import Encoder
    from lightning_posenc.pretrained.conversion.folders import from_pretrained, save_pretrained

__version__ = "0.2.0"
__all__ = [
    "Dims",
    "Encoder",
    "Predictor",
    "__version__",
    "from_pretrained",
    "load",
    "save_pretrained",
]

_HOMES = {
    "Dims": "lightning_posenc.dims",
    "Encoder": "lightning_posenc.model.encoder",
    "Predictor": "lightning_posenc.inference.predictor",
    "load": "lightning_posenc.inference.loading",
    "from_pretrained": "lightning_posenc.pretrained.conversion.folders",
    "save_pretrained": "lightning_posenc.pretrained.conversion.folders",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
