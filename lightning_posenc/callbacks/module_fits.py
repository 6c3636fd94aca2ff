"""What a callback of this package needs of a module and of its batches, which may be anybody's."""

import logging
from typing import Any

import lightning as L
from torch import Tensor, nn

from lightning_posenc.data.batch import Batch

log = logging.getLogger("lightning_posenc")


def observed(module: nn.Module) -> nn.Module:
    """The part of a module whose forward passes are watched: all of it, unless it has several
    stacks of blocks and names one of them, by `observed`.
    """
    part: nn.Module = getattr(module, "observed", module)
    return part


def token_lengths(module: Any, batch: Batch) -> Tensor | None:
    """(B,) tokens that the watched blocks see of each sequence; None if all are full.

    They are those of the batch, unless the module's inputs make several, or one of several.
    """
    told = getattr(module, "token_lengths", None)
    lengths: Tensor | None = batch.lengths if told is None else told(batch)
    return lengths


def fits(callback: L.Callback, module: L.LightningModule, batch: Any, *attributes: str) -> bool:
    """Whether a callback can look at a batch; said once if it cannot.

    Args:
        callback: That wants to.
        module: The user's.
        batch: The user's.
        attributes: Names that the module must have.
    """
    lacking = [name for name in attributes if not hasattr(module, name)]
    if isinstance(batch, Batch) and not lacking:
        return True
    if not getattr(callback, "_stays_out", False):
        callback._stays_out = True  # type: ignore[attr-defined]
        why = (
            f"{type(module).__name__} has no {', '.join(lacking)}"
            if lacking
            else f"batches are of type {type(batch).__name__}, not lightning_posenc.data.Batch"
        )
        log.warning("%s stays out: %s", type(callback).__name__, why)
    return False
