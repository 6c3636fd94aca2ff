"""Loggers that know their run: its directory, its config, and the sweep that it is a trial of."""

import os
import pydoc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from lightning_posenc.checks import is_a
from lightning_posenc.compat.lightning import flat
from lightning_posenc.compat.wandb import earlier_id, update_beside_agent
from lightning_posenc.runs.run_directory import SWEEP, TRIAL

_AGENT = "WANDB_SWEEP_ID"  # set by an agent of W&B, which waits for the run's metric

# What W&B takes from the environment if it is not told; a user's variable is not overruled.
_VARIABLES = {"name": "WANDB_NAME", "group": "WANDB_RUN_GROUP", "job_type": "WANDB_JOB_TYPE"}


class TensorBoard(TensorBoardLogger):
    """Lightning's TensorBoard logger in `tensorboard/` of the run directory.

    Its page of hyperparameters shows `val/loss`, not Lightning's placeholder `hp_metric`.

    Args:
        save_dir: Where `tensorboard/` is made; "." stands for the run directory.
        prefix: Put before the name of every metric.

    Raises:
        ValueError: If tensorboard is not installed.
    """

    def __init__(self, save_dir: str = ".", prefix: str = "") -> None:
        is_a(self, "save_dir", save_dir, str | Path)
        is_a(self, "prefix", prefix, str)
        try:
            super().__init__(save_dir, name="", version="tensorboard", prefix=prefix)
        except ModuleNotFoundError:
            raise ValueError("TensorBoard: not installed: pip install tensorboard") from None

    @rank_zero_only
    def log_hyperparams(self, params: Any, metrics: Any = None, step: int | None = None) -> None:
        from torch.utils.tensorboard.summary import hparams

        self.hparams.update(params)
        # The values are those logged under the same name while the run goes on.
        shown = dict.fromkeys(metrics or ["val/loss"], 0.0)
        for summary in hparams(flat(params), shown):
            self.experiment.file_writer.add_summary(summary, step)


def belong(logger: Namespace, run_dir: Path, name: str, command: str) -> None:
    """Complete the config of a logger by what the user leaves to the run.

    Args:
        logger: `class_path` and `init_args`, changed in place.
        run_dir: The run directory, in place of `save_dir: .`.
        name: Name of the run's family.
        command: What runs: fit, validate, test or predict.
    """
    arguments = logger.init_args
    if arguments.get("save_dir") == ".":
        arguments.save_dir = str(run_dir)
    if _is_wandb(pydoc.locate(logger.class_path)):
        for key, value in wandb_arguments(run_dir, name, command).items():
            if key in arguments and arguments[key] is None:
                arguments[key] = value


def with_agent(loggers: list[Logger], run_dir: Path, name: str, command: str) -> list[Logger]:
    """Add a WandbLogger, unless there is one, to a run that an agent of W&B started."""
    if _AGENT not in os.environ or any(isinstance(logger, WandbLogger) for logger in loggers):
        return loggers
    return [*loggers, WandbLogger(**wandb_arguments(run_dir, name, command))]


def wandb_arguments(run_dir: Path, name: str, command: str) -> dict[str, Any]:
    """What W&B is told of a run: its directory, name, kind, and sweep.

    A run that is resumed goes on under its own id.
    """
    arguments: dict[str, Any] = {
        "save_dir": str(run_dir),
        "name": f"{name}/{run_dir.name}",
        "group": os.environ.get(SWEEP),
        "job_type": command,
        # The commit is that of the code, wherever the run directory lies.
        "settings": {"git_root": os.getcwd()},
    }
    for key, variable in _VARIABLES.items():
        if variable in os.environ:
            arguments[key] = None
    if earlier := earlier_id(run_dir):
        arguments |= {"id": earlier, "resume": "allow"}
    return arguments


def log_config(logger: Logger, config: dict[str, Any]) -> None:
    """Give a logger the run's config, nested where it can show that.

    Args:
        logger: Any logger, on rank 0.
        config: The whole config as YAML knows it.
    """
    if isinstance(logger, WandbLogger):
        _log_to_wandb(logger.experiment.config, config)
        return
    logger.log_hyperparams(config)
    add_text = getattr(getattr(logger, "experiment", None), "add_text", None)
    if add_text is not None:  # TensorBoard's hyperparameters are flat
        text = yaml.safe_dump(config, sort_keys=False)
        add_text("config", f"```yaml\n{text}```")


def _log_to_wandb(target: Any, config: dict[str, Any]) -> None:
    if SWEEP in os.environ:
        config = {**config, "sweep": {"name": os.environ[SWEEP], "trial": os.environ.get(TRIAL)}}
    if _AGENT not in os.environ:
        target.update(config, allow_val_change=True)
        return
    update_beside_agent(target, config)


@contextmanager
def finished_at_end() -> Iterator[None]:
    """Finish the W&B run that was begun within, so that the next one in this process is another.

    A run that the caller had begun before goes on.
    """
    before = _wandb_run()
    status = 1
    try:
        yield
        status = 0
    finally:
        begun = _wandb_run()
        if begun is not None and begun is not before:
            begun.finish(exit_code=status)


def _wandb_run() -> Any:
    # Not imported here: that takes a second, which only runs that use it should pay.
    return getattr(sys.modules.get("wandb"), "run", None)


def _is_wandb(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, WandbLogger)
