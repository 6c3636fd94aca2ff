"""The commands that run a Lightning Trainer: fit, validate, test, predict."""

import argparse
import warnings
from pathlib import Path
from typing import Any

import lightning as L
from jsonargparse import Namespace
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException

# Imported whole, so that a config can name any of their classes without a path.
from lightning_posenc import (  # noqa: F401
    callbacks,
    data,
    masks,
    model,
    modules,
    positional,
    positions,
    run_directory,
    tasks,
)
from lightning_posenc.checkpoint_config import SaveRunConfig, with_checkpoint_config
from lightning_posenc.messages import explain
from lightning_posenc.metrics_csv import MetricsCSV

USER_ERRORS = (argparse.ArgumentError, ValueError, FileNotFoundError, MisconfigurationException)

_EVERY_RUN = (
    callbacks.RunSummary,
    callbacks.RandomState,
    callbacks.ResultsTable,
    callbacks.AccuracyByPosition,
    callbacks.AttentionMaps,
    callbacks.Predictions,
)


class TrainingCLI(LightningCLI):
    """LightningCLI with a directory for each run and a test after each fit."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--run_dir",
            type=Path | None,
            default=None,
            help="Exactly where this run keeps what it makes; default runs/<name>/<id>.",
        )
        parser.add_argument(
            "--name",
            type=str | None,
            default=None,
            help="Name of the run's family; default the stem of the (first) config file.",
        )
        parser.add_argument(
            "--test_after_fit", type=bool, default=True, help="Whether fit ends with a test."
        )
        for size in ("vocab_size", "n_classes"):
            parser.link_arguments(f"data.{size}", f"model.init_args.{size}", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        with with_checkpoint_config(args) as completed:
            self.config = parser.parse_args(completed)

    def _parse_ckpt_path(self) -> None:
        """Nothing: `with_checkpoint_config` has put the checkpoint's config below the user's."""

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        ckpt_path = config.get("ckpt_path")
        fits = self.subcommand == "fit"
        if fits and ckpt_path and not config.run_dir:
            config.run_dir = run_directory.resume_directory(Path(ckpt_path))
        files = [str(path) for path in config.get("config") or ()]
        name = config.name or (Path(files[0]).stem if files else str(self.subcommand))
        self.run_dir = run_directory.choose(config.run_dir, name, resumes=bool(fits and ckpt_path))
        for logger in _as_list(config.trainer.logger):
            # W&B's default is the working directory.
            if isinstance(logger, Namespace) and logger.get("init_args.save_dir") == ".":
                logger.init_args.save_dir = str(self.run_dir)

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        config = self._get(self.config_init, "trainer")
        loggers: list[Any] = []
        if config["logger"] is not False:
            loggers = [MetricsCSV(self.run_dir), *_as_list(config["logger"])]
        given: list[Callback] = _as_list(config["callbacks"])
        ours: list[Callback] = [make() for make in _EVERY_RUN]
        saves = config["enable_checkpointing"] is not False and not config["fast_dev_run"]
        if saves and not any(isinstance(callback, ModelCheckpoint) for callback in given):
            # Where nothing is trained, the callback only takes up what the checkpoint knows of it.
            ckpt_path = self.config[self.subcommand].get("ckpt_path")
            old = None if self.subcommand == "fit" or not ckpt_path else Path(ckpt_path).parent
            ours.append(
                ModelCheckpoint(
                    old or self.run_dir / run_directory.CHECKPOINTS,
                    filename="best",
                    monitor="val/loss",
                    save_last=True,
                    enable_version_counter=False,
                )
            )
        return super().instantiate_trainer(
            logger=loggers, default_root_dir=str(self.run_dir), callbacks=[*ours, *given]
        )

    def after_fit(self) -> None:
        if self.config[self.subcommand].test_after_fit and not self.trainer.interrupted:
            self.trainer.test(self.model, datamodule=self.datamodule, verbose=False)

    def _run_subcommand(self, subcommand: str) -> None:
        super()._run_subcommand(subcommand)
        if self.trainer.is_global_zero and not getattr(self.trainer, "fast_dev_run", False):
            print(f"run directory: {self.run_dir}")


def run(args: list[str]) -> None:
    """Run `fit`, `validate`, `test` or `predict` with their options.

    Raises:
        USER_ERRORS: What the user can mend; `one_line` says it.
    """
    # Errors are raised, and said by `one_line`; no option may be guessed from its beginning.
    strict = {"exit_on_error": False, "allow_abbrev": False}
    # Lightning's own use of torch 2.13, which no user can mend.
    warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)
    try:
        TrainingCLI(
            save_config_callback=SaveRunConfig,
            save_config_kwargs={"save_to_log_dir": False},  # it has a place of its own
            seed_everything_default=0,
            trainer_defaults={"use_distributed_sampler": False},
            parser_kwargs={**strict, **{name: dict(strict) for name in TrainingCLI.subcommands()}},
            auto_configure_optimizers=False,
            args=args,
        )
    finally:
        run_directory.release()


def _as_list(value: Any) -> list[Any]:
    """A Trainer argument that takes one object, several, or a switch (None, True, False)."""
    if value is None or isinstance(value, bool):
        return []
    return value if isinstance(value, list) else [value]


def one_line(error: BaseException) -> str:
    """What went wrong, where, and what to do about it, in one line."""
    return explain(str(error))
