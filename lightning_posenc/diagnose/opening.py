"""A checkpoint's model with its own data, to be looked at."""

from pathlib import Path
from typing import Any, NamedTuple

from lightning_posenc.diagnose.loading import subject_of
from lightning_posenc.diagnose.subject import OwnModel
from lightning_posenc.training import command
from lightning_posenc.training.built import Built


class Opened(NamedTuple):
    """A checkpoint.

    Args:
        own: Its model, and the first sequences of its data.
        data: Its datamodule, set up for a test.
        contents: The checkpoint itself.
    """

    own: OwnModel
    data: Any
    contents: dict[str, Any]


def opened(path: Path, option: str) -> Opened:
    """Build the model and the data of a checkpoint's own config, and load its weights.

    Args:
        path: A checkpoint of this package that is one file, or a run directory, for its newest.
        option: What errors name.

    Raises:
        ValueError: If it is no such checkpoint.
    """
    command.leave_out_advice()
    with command.in_words(f"{option} {path}: "):
        cli = Built(["--ckpt_path", str(path)])
        assert cli.checkpoint is not None
        data: Any = cli.datamodule
        data.prepare_data()
        data.setup("test")
        steps = int(cli.checkpoint["global_step"])
        own = subject_of(cli.model, data, str(path), steps)
    return Opened(own, data, cli.checkpoint)
