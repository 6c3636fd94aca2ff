"""What every run does besides training, whoever starts it."""

from collections.abc import Sequence

from lightning.pytorch.callbacks import Callback, ProgressBar, RichProgressBar

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

REFRESHES = 4
"""Of the progress bar, a second. Lightning's 100 are one a step of a small model: in a terminal a
sixth of the quickstart's time.
"""


def callbacks_of_run(
    command: Sequence[str] | None,
    given: Sequence[Callback],
    leaves_files: bool = True,
    shows_progress: bool | None = True,
) -> list[Callback]:
    """The callbacks of every run, but for those of which the user gave one.

    Args:
        command: What the program was started with, for `summary.json`; None for a program's own.
        given: The user's callbacks.
        leaves_files: Whether predictions are written.
        shows_progress: As `enable_progress_bar`.
    """
    left = set() if leaves_files else {callbacks.Predictions}
    made = [make() for make in KINDS if make not in left and not has(given, make)]
    return [RunSummary(command), *made, *progress_bar(given, shows_progress)]


def progress_bar(given: Sequence[Callback], shown: bool | None) -> list[Callback]:
    """A bar that takes no time worth mention; none where the user gave one.

    Args:
        given: The user's callbacks.
        shown: As `enable_progress_bar`, which None leaves on.
    """
    is_off = shown is not None and not shown
    if is_off or any(isinstance(callback, ProgressBar) for callback in given):
        return []
    return [RichProgressBar(refresh_rate=REFRESHES)]


def has(given: Sequence[Callback], kind: type[Callback]) -> bool:
    """Whether one of them is of this very class."""
    return any(type(callback) is kind for callback in given)
