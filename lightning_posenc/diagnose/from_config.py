"""The subject that a config or a checkpoint describes."""

from pathlib import Path
from typing import Any

from lightning_posenc.diagnose.loading import subject_of
from lightning_posenc.diagnose.subject import OwnModel, Recorded
from lightning_posenc.diagnostics.metric_keys import Key
from lightning_posenc.runs import run_directory
from lightning_posenc.training.built import Built
from lightning_posenc.training.summary import METRICS


def build(args: list[str]) -> tuple[OwnModel, Path | None]:
    """Make the subject that `--config`, `--ckpt_path` and other arguments of `test` describe.

    Args:
        args: Arguments; what they say beats the checkpoint.

    Returns:
        The subject, and the directory of the run that the checkpoint belongs to, if there is one.
    """
    cli = Built(args)
    steps, name, directory = 0, "an untrained model", None
    recorded, rate = None, None
    if files := [Path(str(path)).stem for path in cli.given.get("config") or ()]:
        name = f"{files[0]}, untrained"
    if cli.checkpoint is not None:
        assert cli.ckpt_path is not None
        steps, name = cli.checkpoint["global_step"], str(cli.ckpt_path)
        recorded, rate = _recorded(cli.checkpoint), _rate(cli.checkpoint)
        directory = run_directory.resume_directory(cli.ckpt_path)
    cli.datamodule.prepare_data()
    cli.datamodule.setup("test")
    return subject_of(cli.model, cli.datamodule, name, steps, recorded, rate), directory


def _recorded(checkpoint: dict[str, Any]) -> Recorded | None:
    """What the last validation before the checkpoint said."""
    metrics = checkpoint.get(METRICS) or {}
    accuracy, loss, errors = (
        metrics.get(str(Key(name, "val"))) for name in ("acc", "loss", "error_rate")
    )
    if isinstance(errors, float):  # of transcripts, as `scores.score` counts
        accuracy = max(1 - errors, 0.0)
    if not isinstance(accuracy, float) or not isinstance(loss, float):
        return None
    return Recorded(accuracy, loss)


def _rate(checkpoint: dict[str, Any]) -> float | None:
    """The greatest learning rate of the schedule; None if the checkpoint holds no optimizer."""
    states = checkpoint.get("optimizer_states") or []
    groups = [group for state in states for group in state["param_groups"]]
    return max((float(group.get("initial_lr", group["lr"])) for group in groups), default=None)
