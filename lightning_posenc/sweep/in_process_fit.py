"""The package's own `fit` within a process that is there already.

The fork server imports this module once, with torch and Lightning behind it; every trial that is
forked from it starts at once. Nothing here may touch a GPU while it is imported.
"""

from collections.abc import Sequence

from lightning_posenc.mistakes.one_line import guarded
from lightning_posenc.training import command as training
from lightning_posenc.training.command_line import OPTIONS, TrainingCLI

_NO_BAR = "--trainer.enable_progress_bar=false"  # nobody watches a trial's


class _Parsed(BaseException):
    """The arguments have been parsed; no more was wanted."""


class _Parser(TrainingCLI):
    def before_instantiate_classes(self) -> None:
        raise _Parsed


def train(args: list[str], threads: int) -> int:
    """Run `fit` with its arguments.

    Args:
        args: What follows `fit`.
        threads: That torch may use.

    Returns:
        Exit status, as the command line's.
    """
    import torch

    torch.set_num_threads(threads)
    # What the sweep says comes later, and beats it.
    words = ["fit", _NO_BAR, *args]
    return guarded(lambda: training.run(words), training.USER_ERRORS, training.one_line)


def train_together(commands: Sequence[list[str]], threads: int) -> int:
    """Do the training of several runs of `fit`, which differ in their seeds, as one.

    Args:
        commands: What follows `fit`, of each.
        threads: That torch may use.

    Returns:
        Exit status, as the command line's; the log says why they cannot be trained so.
    """
    import torch

    from lightning_posenc.training.stacked import together

    torch.set_num_threads(threads)
    words = [[_NO_BAR, *args] for args in commands]
    return guarded(lambda: together.train_together(words), training.USER_ERRORS, training.one_line)


def parse(args: list[str]) -> str | None:
    """Parse the arguments of `fit`, and go no further.

    Args:
        args: What follows `fit`.

    Returns:
        What is wrong with them, in one line, or None.
    """
    try:
        _Parser(save_config_callback=None, args=["fit", *args], **OPTIONS)
    except _Parsed:
        return None
    except training.USER_ERRORS as error:
        return training.one_line(error)
    return "its arguments ask for no training"
