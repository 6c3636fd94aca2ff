"""The commands that run a Lightning Trainer: fit, validate, test, predict."""

import argparse
import logging
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from lightning_posenc.callbacks import Diverged
from lightning_posenc.data.saying import forget
from lightning_posenc.mistakes.library_errors import own_place
from lightning_posenc.mistakes.one_line import in_one_line
from lightning_posenc.runs import loggers, run_directory
from lightning_posenc.training.checkpoint_config import SaveRunConfig
from lightning_posenc.training.command_line import OPTIONS, TrainingCLI
from lightning_posenc.training.parser_errors import explain
from lightning_posenc.training.resuming.preemption import Stopped

USER_ERRORS = (argparse.ArgumentError, ValueError, FileNotFoundError, MisconfigurationException)


def run(args: list[str]) -> int:
    """Run `fit`, `validate`, `test` or `predict` with their options.

    Returns:
        Exit status: 0, or 143 if the run was stopped by SIGTERM and wants to be started again, or
        130 if it was stopped by Ctrl-C.

    Raises:
        USER_ERRORS: What the user can mend; `one_line` says it.
    """
    try:
        done(args)
    except SIGTERMException as stop:  # an exit, to Python, and with status 0
        rank_zero_only(print)(str(stop) or "stopped by SIGTERM", file=sys.stderr)
        return 128 + (stop.number if isinstance(stop, Stopped) else signal.SIGTERM)
    return 0


def done(args: list[str]) -> TrainingCLI:
    """What is left of a command that ran to its end: its trainer, model and data.

    Raises:
        USER_ERRORS: What the user can mend; `one_line` says it.
    """
    forget()
    with run_directory.alone(), told_as_ours():
        try:
            with loggers.finished_at_end():
                return TrainingCLI(
                    save_config_callback=SaveRunConfig,
                    save_config_kwargs={"save_to_log_dir": False},  # it has a place of its own
                    args=args,
                    **OPTIONS,
                )
        except Exception as error:
            diverged = isinstance(error, Diverged)  # which is a result
            if not diverged and in_one_line(error, USER_ERRORS) is not None:
                # A class of the user's own may fail late in a run.
                run_directory.forget(spare_metrics=own_place(error) is not None)
            raise


@contextmanager
def told_as_ours() -> Iterator[None]:
    """Within, Lightning gives no advice, and Ctrl-C is no exit.

    Raises:
        KeyboardInterrupt: As it was, before Lightning made it an exit.
    """
    leave_out_advice()
    try:
        yield
    except SystemExit as stop:
        if not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        raise KeyboardInterrupt from None


def leave_out_advice() -> None:
    """Let Lightning say nothing that no user can mend, and nothing of its makers' products."""
    # Its own use of torch 2.13.
    warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)
    logging.getLogger(_SAYS_TIPS).addFilter(_is_no_advertisement)


_SAYS_TIPS = "lightning.pytorch.utilities.rank_zero"  # the logger of what Lightning tells people


def _is_no_advertisement(record: logging.LogRecord) -> bool:
    return "litlogger" not in record.getMessage() and "litmodels" not in record.getMessage()


def one_line(error: BaseException) -> str:
    """What went wrong, where, and what to do about it, in one line."""
    return explain(str(error))


@contextmanager
def in_words(before: str = "") -> Iterator[None]:
    """Within, what the user can mend is a ValueError of one line.

    Python shows nothing of the parser above it, whose chain fills a screen.

    Args:
        before: What the line begins with.
    """
    try:
        yield
    except USER_ERRORS as error:
        cause = None if isinstance(error, argparse.ArgumentError) else error
        raise ValueError(before + one_line(error)) from cause
