"""What a training command makes of its options: data, model, trainer, and the run's own parts."""

import copy
from pathlib import Path
from typing import Any

import lightning as L
from jsonargparse import Namespace
from lightning.pytorch.callbacks import Callback, ModelSummary
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.plugins.io import CheckpointIO

# Imported whole, so that a config can name any of their classes without a path.
from lightning_posenc import (  # noqa: F401
    callbacks,
    data,
    masks,
    model,
    modules,
    positional,
    positions,
    tasks,
)
from lightning_posenc.compat.lightning import CommandLine
from lightning_posenc.data.meaning import state_of
from lightning_posenc.data.remembered import RememberedData
from lightning_posenc.data.saying import say
from lightning_posenc.mistakes import library_errors
from lightning_posenc.pages.run_page import write_run_page
from lightning_posenc.pretrained import adapting  # noqa: F401
from lightning_posenc.runs import loggers, run_directory, untrusted
from lightning_posenc.runs.checkpoint_files import (
    WholeCheckpointIO,
    newest,
    read,
    remove_unfinished,
    shapes,
)
from lightning_posenc.runs.main_process import is_writer
from lightning_posenc.runs.metrics_csv import MetricsCSV
from lightning_posenc.training import warm_start
from lightning_posenc.training.checkpoint_config import (
    LAST,
    dumped,
    parse,
    stored_config,
)
from lightning_posenc.training.every_run import callbacks_of_run
from lightning_posenc.training.given import in_files, value_of
from lightning_posenc.training.layer_table import LayerTable
from lightning_posenc.training.misfit import explained, is_misfit
from lightning_posenc.training.parser import Parser
from lightning_posenc.training.resuming import odd_states, which_run
from lightning_posenc.training.resuming.branched_run import BranchedRun
from lightning_posenc.training.resuming.moved_run import MovedRun
from lightning_posenc.training.resuming.preemption import Preemption
from lightning_posenc.training.resuming.same_checkpoint import SameCheckpoint
from lightning_posenc.training.resuming.sharded_loading import ShardedLoading
from lightning_posenc.training.resuming.stays_stopped import StaysStopped, conditions
from lightning_posenc.training.resuming.unfinished_step import ROW, UnfinishedStep
from lightning_posenc.training.run_checkpoint import kept_by_run
from lightning_posenc.training.trainer_options import (
    LINKED,
    as_list,
    check_linked,
    check_trainer,
)
from lightning_posenc.training.trust import OPTION

PROGRAM = "python -m lightning_posenc"


class TrainingCLI(CommandLine):
    """LightningCLI with a directory for each run and a test after each fit."""

    called = PROGRAM

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
            OPTION,
            type=list[str] | None,
            default=None,
            help="A module whose classes a checkpoint's own config may name, besides those of this "
            "package, torch.nn, torch.optim and Lightning; several times for several modules. On "
            "the command line only.",
        )
        parser.add_argument(
            "--test_after_fit", type=bool, default=True, help="Whether fit ends with a test."
        )
        parser.add_argument(
            "--test_best",
            type=bool,
            default=False,
            help="Whether that test is of the weights of the least val/loss, not of the last ones.",
        )
        parser.add_argument(
            "--warm_start",
            type=Path | None,
            default=None,
            help="A run's directory or checkpoint whose weights fit begins with, where they fit; "
            "the model and the data may be others.",
        )
        for size in LINKED:
            parser.link_arguments(f"data.{size}", f"model.init_args.{size}", apply_on="instantiate")

    def argument_defaults(self) -> dict[str, Any]:
        return {"verbose": False}  # our table of results is enough

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self.command = list(args)
        self.config = parse(parser, list(args))
        if self.config[self.config.subcommand].get("run_dir") == Path():  # "." or ""
            self._check_named()

    def _check_named(self) -> None:
        """Refuse an empty run_dir, which the parser takes for the working directory."""
        told = value_of("--run_dir", self.command)
        if (in_files("run_dir", self.command) if told is None else told) == "":
            raise ValueError(
                "--run_dir is empty, which is the working directory: name a folder, or leave the "
                "option out for runs/<name>/<id>"
            )

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        check_trainer(config.trainer)
        check_linked(config.get("model"))
        fits = self.subcommand == "fit"
        ckpt_path = config.get("ckpt_path")
        goes_on = fits and ckpt_path == LAST
        if goes_on:  # of a config file, or there is no checkpoint yet
            if not config.run_dir:
                raise ValueError("ckpt_path=last needs --run_dir: which run is to go on?")
            ckpt_path = config.ckpt_path = newest(config.run_dir)
        self.dump_config()
        self._why_anew = ""
        if fits and ckpt_path and not config.run_dir:
            config.run_dir, self._why_anew = which_run.directory_to_go_on(
                Path(ckpt_path), self.plain
            )
        files = [str(path) for path in config.get("config") or ()]
        self.name = config.name or (Path(files[0]).stem if files else str(self.subcommand))
        if fits and ckpt_path:
            goes_on = goes_on or which_run.is_of(Path(ckpt_path), config.run_dir)
        self.run_dir = run_directory.choose(config.run_dir, self.name, goes_on)
        self._given = self.config.clone()
        for logger in as_list(config.trainer.logger):
            if isinstance(logger, Namespace):
                loggers.belong(logger, self.run_dir, self.name, str(self.subcommand))

    def dump_config(self) -> None:
        """Put the subcommand's config down as YAML, once for all who want it."""
        text = dumped(self.parser_of(self.subcommand), self.config[self.subcommand])
        self.save_config_kwargs["text"] = text
        self.plain: dict[str, Any] = untrusted.load_yaml(text, run_directory.CONFIG)
        self.config_dump = copy.deepcopy(self.plain)  # what a checkpoint's hyperparameters are of

    def instantiate_classes(self) -> None:
        """Do as Lightning does; but the data learns what its numbers mean to the checkpoint before
        the model asks it for sizes.
        """
        with_meaning = [(self._with_meaning, RememberedData, True)]
        self.config_init = self.parser.instantiate(self.config, instantiators=with_meaning)
        self.datamodule = self.of_config("data")
        self.model = self.of_config("model")
        self.add_optimizer_method()
        self.trainer = self.instantiate_trainer()

    def _with_meaning(
        self, kind: type[RememberedData], *args: Any, **kwargs: Any
    ) -> RememberedData:
        made = kind(*args, **kwargs)
        if ckpt_path := self.config[self.subcommand].get("ckpt_path"):
            state = state_of(read(Path(ckpt_path)), kind)
            if state is not None:
                made.adopt(state)
                if self.subcommand == "fit":
                    made.check_order(state)
            elif made.learns:
                say(
                    f"warning: --ckpt_path {ckpt_path} does not say what its numbers mean (an "
                    "earlier release made it): words and names are taken from the data given"
                )
        elif begins_with := self._warm_start():
            warm_start.read_as_there(made, begins_with)
        return made

    def misfit(self, error: BaseException) -> str:
        """Why the weights of the checkpoint do not fit the model, in one line."""
        ckpt_path = Path(self.config[self.subcommand].ckpt_path)
        before = stored_config(ckpt_path, read(ckpt_path))["model"]
        return explained(error, ckpt_path, self.plain["model"], before)

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        self.config = self._given  # saved without what the loggers are told of this run alone
        config = self.of_config("trainer")
        ckpt_path = self.config[self.subcommand].get("ckpt_path")
        fits = self.subcommand == "fit"
        told: list[Any] = []
        if config["logger"] is not False:
            before = read(Path(ckpt_path)) if fits and ckpt_path else {}
            table = MetricsCSV(self.run_dir, before.get("global_step", 0), before.get(ROW))
            told = [table, *as_list(config["logger"])]
            told = loggers.with_agent(told, self.run_dir, self.name, str(self.subcommand))
        given: list[Callback] = as_list(config["callbacks"])
        leaves_files, shows = not config["fast_dev_run"], config["enable_progress_bar"]
        ours = callbacks_of_run(self.command, given, leaves_files, shows)
        ours.append(MovedRun(ckpt_path))
        if ckpt_path:
            ours.append(ShardedLoading(shapes(Path(ckpt_path))))
        saves = config["enable_checkpointing"] is not False and not config["fast_dev_run"]
        if saves:
            # Where nothing is trained, the callback only takes up what the checkpoint knows of it.
            old = None if fits or not ckpt_path else Path(ckpt_path).parent
            ours += kept_by_run(old or self.run_dir / run_directory.CHECKPOINTS, given)
        if fits:
            remove_unfinished(self.run_dir)
            stops = StaysStopped(conditions(self.plain["trainer"]))
            given = [*given, UnfinishedStep(), SameCheckpoint(ckpt_path), stops]
            if ckpt_path and not run_directory.checkpoints(self.run_dir):
                given.append(BranchedRun(ckpt_path, self._why_anew))
        if fits and saves:
            given.append(Preemption(self.run_dir / run_directory.CHECKPOINTS / run_directory.LAST))
        plugins = as_list(config["plugins"])
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            plugins = [*plugins, WholeCheckpointIO()]
        tells = config["enable_model_summary"] is not False
        if tells and not any(isinstance(each, ModelSummary) for each in given):
            ours.append(LayerTable())
        trainer: Any = super().instantiate_trainer(
            enable_model_summary=False,  # which would add Lightning's own
            logger=told,
            default_root_dir=str(self.run_dir),
            callbacks=[*ours, *given],
            plugins=plugins,
        )
        for plugin in plugins:
            if isinstance(plugin, WholeCheckpointIO):
                plugin.callbacks = {callback.state_key for callback in trainer.callbacks}
        return trainer

    def before_fit(self) -> None:
        if begins_with := self._warm_start():
            warm_start.begin_with(self.model, begins_with)

    def after_fit(self) -> None:
        config = self.config[self.subcommand]
        if not config.test_after_fit or self.trainer.interrupted:
            return
        best = warm_start.best_of(self.trainer) if config.test_best else None
        if best:
            say(f"test: of {best}")
        self.trainer.test(
            self.model, datamodule=self.datamodule, verbose=False, ckpt_path=best, weights_only=True
        )

    def _warm_start(self) -> Path | None:
        """The checkpoint that a fit begins with; None without one, or where a run goes on."""
        config = self.config[self.subcommand]
        if self.subcommand != "fit" or not config.warm_start or config.get("ckpt_path"):
            return None
        return warm_start.checkpoint_of(config.warm_start)

    def run_subcommand(self, subcommand: str) -> None:
        try:
            super().run_subcommand(subcommand)
        except Exception as error:
            ckpt_path = self.config[subcommand].get("ckpt_path")
            if ckpt_path and is_misfit(error):
                raise ValueError(self.misfit(error)) from error
            if ckpt_path and odd_states.is_odd(error) and not library_errors.explained(error):
                raise ValueError(odd_states.explained(error, Path(ckpt_path))) from error
            raise
        if is_writer(self.trainer):
            write_run_page(self.run_dir)
            print(f"run directory: {self.run_dir}")


OPTIONS: dict[str, Any] = {
    "parser_class": Parser,
    "seed_everything_default": 0,
    "trainer_defaults": {"use_distributed_sampler": False},
    "parser_kwargs": {"prog": PROGRAM},
    "auto_configure_optimizers": False,
}
