"""Build the model and the data of a config or a checkpoint, as the training commands do."""

from pathlib import Path
from typing import Any

from lightning_posenc.diagnose.loading import subject_of
from lightning_posenc.diagnose.subject import OwnModel, Recorded
from lightning_posenc.diagnostics.metric_keys import Key
from lightning_posenc.runs import checkpoint_files, run_directory
from lightning_posenc.training.command_line import OPTIONS, TrainingCLI
from lightning_posenc.training.summary import METRICS


class Builder(TrainingCLI):
    """Parses as `test` does, builds model and data, and runs nothing."""

    def before_instantiate_classes(self) -> None:
        self.given = self.config[self.subcommand]
        self.dump_config()

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        return None

    def run_subcommand(self, subcommand: str) -> None:
        """Nothing: the doctor only looks."""


def build(args: list[str]) -> tuple[OwnModel, Path | None]:
    """Make the subject that `--config`, `--ckpt_path` and other arguments of `test` describe.

    Args:
        args: Arguments; what they say beats the checkpoint.

    Returns:
        The subject, and the directory of the run that the checkpoint belongs to, if there is one.
    """
    cli = Builder(save_config_callback=None, args=["test", *args], **OPTIONS)
    ckpt_path = cli.given.get("ckpt_path")
    steps, name, directory = 0, "an untrained model", None
    recorded, rate = None, None
    if files := [Path(str(path)).stem for path in cli.given.get("config") or ()]:
        name = f"{files[0]}, untrained"
    if ckpt_path:
        checkpoint = checkpoint_files.checked(Path(ckpt_path))
        if Path(ckpt_path).is_dir():
            raise ValueError(f"{ckpt_path} is sharded: diagnose a checkpoint that is one file")
        try:
            cli.model.load_state_dict(checkpoint["state_dict"])
        except RuntimeError as error:
            raise ValueError(cli.misfit(error)) from error
        steps, name = checkpoint["global_step"], str(ckpt_path)
        recorded, rate = _recorded(checkpoint), _rate(checkpoint)
        directory = run_directory.resume_directory(Path(ckpt_path))
    cli.datamodule.prepare_data()
    cli.datamodule.setup("test")
    return subject_of(cli.model, cli.datamodule, name, steps, recorded, rate), directory


def _recorded(checkpoint: dict[str, Any]) -> Recorded | None:
    """What the last validation before the checkpoint said."""
    metrics = checkpoint.get(METRICS) or {}
    accuracy, loss = (metrics.get(str(Key(name, "val"))) for name in ("acc", "loss"))
    if not isinstance(accuracy, float) or not isinstance(loss, float):
        return None
    return Recorded(accuracy, loss)


def _rate(checkpoint: dict[str, Any]) -> float | None:
    """The greatest learning rate of the schedule; None if the checkpoint holds no optimizer."""
    states = checkpoint.get("optimizer_states") or []
    groups = [group for state in states for group in state["param_groups"]]
    return max((float(group.get("initial_lr", group["lr"])) for group in groups), default=None)
