"""How far a study has come: a bar on a terminal, elsewhere a line for each thing measured."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lightning_posenc.mistakes import escaping


class Bar:
    """Tells what is being measured, and how much is left.

    Args:
        console: Where it is shown.
        progress: Of rich, started.
        task: The bar in it, whose unit is a thousand tokens that went through the model.
    """

    def __init__(self, console: Console, progress: Progress, task: TaskID) -> None:
        self._console = console
        self._progress = progress
        self._task = task

    def begin(self, what: str) -> None:
        """Say what is measured now."""
        self._progress.update(self._task, description=escaping.rich(what))

    def end(self, what: str, tokens: int) -> None:
        """Say what came out, and that so many tokens are done with."""
        if not self._console.is_terminal:
            self._console.print(escaping.rich(what), highlight=False, soft_wrap=True)
        self._progress.advance(self._task, tokens / 1000)


@contextmanager
def bar(console: Console, tokens: int) -> Iterator[Bar]:
    """Within, a bar stands at the foot of a terminal.

    Args:
        console: Where it is shown.
        tokens: That are to go through the model in all.
    """
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("k tokens"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(elapsed_when_finished=True),
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield Bar(console, progress, progress.add_task("", total=max(1, tokens // 1000)))
