"""A part of a checkpoint that is of another form than `fit` writes it, found while it is taken up.

Nobody can say of all parts, Lightning's and the user's own among them, what form they have. So an
error of whatever kind is explained by where it was raised.
"""

from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from lightning.pytorch.trainer.connectors import checkpoint_connector

from lightning_posenc.modules.resumption import Resumption
from lightning_posenc.training.resuming.random_state import RandomState

_LIGHTNINGS = checkpoint_connector.__file__
# What is taken up when training begins.
_LATER = {Resumption.on_train_start.__code__, RandomState.take_up.__code__}


def is_odd(error: BaseException) -> bool:
    """Whether an error was raised while a checkpoint was taken up, by something that did not expect
    what it found there.
    """
    kinds = (AttributeError, LookupError, TypeError, RuntimeError)
    return isinstance(error, kinds) and any(map(_restores, _frames(error)))


def explained(error: BaseException, path: Path) -> str:
    """Say it in one line.

    Args:
        error: That `is_odd`.
        path: The checkpoint.
    """
    said = " ".join(str(error).split())[:200]
    return (
        f"--ckpt_path {path}: a part of it is not as fit writes it ({type(error).__name__}: "
        f"{said}): take another checkpoint"
    )


def _restores(frame: FrameType) -> bool:
    code = frame.f_code
    of_lightning = code.co_filename == _LIGHTNINGS and "restore" in code.co_name
    return of_lightning or code in _LATER


def _frames(error: BaseException) -> Iterator[FrameType]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next
