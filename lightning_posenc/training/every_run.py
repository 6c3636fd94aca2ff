"""What every run does besides training, whoever starts it."""

from collections.abc import Sequence

from lightning.pytorch.callbacks import Callback

from lightning_posenc import callbacks
from lightning_posenc.modules.resumption import Resumption
from lightning_posenc.training.summary import RunSummary

KINDS: tuple[type[Callback], ...] = (
    Resumption,
    callbacks.Divergence,
    callbacks.RandomState,
    callbacks.ResultsTable,
    callbacks.ClassTable,
    callbacks.AccuracyByPosition,
    callbacks.AttentionMaps,
    callbacks.Predictions,
    callbacks.BestScore,
)


def callbacks_of_run(
    command: Sequence[str] | None, given: Sequence[Callback], leaves_files: bool = True
) -> list[Callback]:
    """The callbacks of every run, but for those of which the user gave one.

    Args:
        command: What the program was started with, for `summary.json`; None for a program's own.
        given: The user's callbacks.
        leaves_files: Whether predictions are written.
    """
    left = set() if leaves_files else {callbacks.Predictions}
    made = [make() for make in KINDS if make not in left and not has(given, make)]
    return [RunSummary(command), *made]


def has(given: Sequence[Callback], kind: type[Callback]) -> bool:
    """Whether one of them is of this very class."""
    return any(type(callback) is kind for callback in given)
