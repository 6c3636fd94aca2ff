"""What a callback of this package needs of a module and of its batches, which may be anybody's."""

import logging
from typing import Any

import lightning as L

from lightning_posenc.data.batch import Batch

log = logging.getLogger("lightning_posenc")


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
