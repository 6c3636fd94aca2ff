"""Build the model and the data of a config or a checkpoint, as the training commands do."""

from pathlib import Path
from typing import Any

from lightning_posenc.runs import checkpoint_files
from lightning_posenc.training.command_line import OPTIONS, TrainingCLI


class Built(TrainingCLI):
    """Parses as `test` does, builds model and data, loads the weights, and runs nothing.

    Args:
        args: Arguments of `test`; what they say beats the checkpoint.

    Raises:
        ValueError: If the checkpoint is sharded, or does not fit the model.
    """

    def __init__(self, args: list[str]) -> None:
        super().__init__(save_config_callback=None, args=["test", *args], **OPTIONS)
        self.checkpoint: dict[str, Any] | None = None
        if not self.ckpt_path:
            return
        if self.ckpt_path.is_dir():
            raise ValueError(f"{self.ckpt_path} is sharded: give a checkpoint that is one file")
        self.checkpoint = checkpoint_files.checked(self.ckpt_path)
        self.model.on_load_checkpoint(self.checkpoint)
        try:
            self.model.load_state_dict(self.checkpoint["state_dict"])
        except RuntimeError as error:
            raise ValueError(self.misfit(error)) from error

    @property
    def ckpt_path(self) -> Path | None:
        """The checkpoint; None if a config alone was given."""
        path = self.given.get("ckpt_path")
        return Path(str(path)) if path else None

    def before_instantiate_classes(self) -> None:
        self.given = self.config[self.subcommand]
        self.dump_config()

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        return None

    def run_subcommand(self, subcommand: str) -> None:
        """Nothing: who asks only looks."""
