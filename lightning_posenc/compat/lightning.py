"""What is relied on of Lightning without its promise: private methods, and the layout of loops.

Each function is one reach; tests/compat holds a canary for each, which says what broke.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import lightning as L
from lightning.fabric.utilities.cloud_io import _is_local_file_protocol
from lightning.fabric.utilities.logger import _flatten_dict, _sanitize_params
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities.model_summary.model_summary import _format_summary_table

FIT_LOOP = "fit_loop"  # of a checkpoint's "loops"
BATCHES = "epoch_loop.batch_progress"
VALIDATION = "epoch_loop.val_loop.batch_progress"


def trainer_of(module: L.LightningModule) -> L.Trainer | None:
    """Give a module's trainer; None without one, where `module.trainer` raises."""
    return module._trainer


def seed_of_run() -> int | None:
    """Give the seed that `seed_everything` took; None if it was not called."""
    seed = os.environ.get("PL_GLOBAL_SEED")
    return None if seed is None else int(seed)


def leave_out_hparams(part: Any) -> None:
    """Keep Lightning from telling loggers a module's or data module's hyperparameters."""
    part._log_hyperparams = False


def set_hparams(module: L.LightningModule, hparams: dict[str, Any]) -> None:
    """Put these in the place of what `save_hyperparameters` has kept."""
    module.hparams.clear()
    module._set_hparams(hparams)


def kept_hparams(part: Any) -> dict[str, Any]:
    """Give what a checkpoint keeps of a module's or data module's hyperparameters."""
    if not part.hparams:
        return {}
    return {
        part.CHECKPOINT_HYPER_PARAMS_KEY: dict(part.hparams),
        part.CHECKPOINT_HYPER_PARAMS_NAME: part._hparams_name,
    }


def flat(params: Any) -> dict[str, Any]:
    """Flatten nested hyperparameters to what TensorBoard shows."""
    return _sanitize_params(_flatten_dict(params))


def is_local(path: str | Path) -> bool:
    """Whether a path lies on this machine's file system."""
    return _is_local_file_protocol(path)


def handle_signal(trainer: L.Trainer, number: int, handler: Callable[..., Any]) -> None:
    """Handle a signal in the place of Lightning's own handler, until the fit is over."""
    trainer._signal_connector._register_signal(number, handler)


def accumulates(trainer: L.Trainer) -> bool:
    """Whether the batch just trained is followed by others before the optimizer's step."""
    return trainer.fit_loop._should_accumulate()


def batches_trained(trainer: Any) -> int:
    """Number of a rank's batches trained so far, also right after a checkpoint was restored."""
    # `processed`, because a checkpoint is written after the optimizer's step and before
    # `completed` is counted, and because a batch that failed midway is in `ready`.
    return trainer.fit_loop.epoch_loop.batch_progress.total.processed


def divides_data(trainer: Any) -> bool:
    """Whether Lightning divides the data among the ranks itself."""
    return trainer._accelerator_connector.use_distributed_sampler


def metrics_due(trainer: L.Trainer) -> dict[str, float] | None:
    """Give the metrics that loggers are to be told after this batch; None if it is none's turn."""
    connector = trainer._logger_connector
    if not connector.should_update_logs or trainer._results is None:
        return None
    return {name: float(value) for name, value in connector.metrics["log"].items()}


def dumped_checkpoint(trainer: L.Trainer) -> dict[str, Any]:
    """Give what a trainer of several loaders would save, as if there were but the first of them."""
    checkpoint: dict[str, Any] = trainer._checkpoint_connector.dump_checkpoint(False)
    state = checkpoint["loops"][FIT_LOOP]["state_dict"]
    if "combined_loader" in state:
        state["combined_loader"] = state["combined_loader"][:1]
    return checkpoint


def last_saved_step(callback: ModelCheckpoint) -> int:
    """Give the step at which a callback has last written a checkpoint."""
    return callback._last_global_step_saved


def table_of_layers(
    total_flops: int, columns: Sequence[Any], totals: tuple[Any, Any, Any, Any]
) -> str:
    """Lay a model's summary out as `ModelSummary` prints it.

    Without a batch to run, which no module of ours has as an attribute, Lightning counts no
    operations: columns and totals of 0 are left out.

    Args:
        total_flops: Floating-point operations of a forward pass; 0 if they were not counted.
        columns: Their titles and cells.
        totals: The numbers of parameters and of those that train, megabytes, modules by mode.
    """
    if not total_flops:
        columns = [(title, cells) for title, cells in columns if title != "FLOPs"]
    table = _format_summary_table(*totals, total_flops, *columns)
    if total_flops:
        return table
    return "\n".join(line for line in table.splitlines() if not line.endswith("Total Flops"))


def validates_now(trainer: L.Trainer) -> bool:
    """Whether a validation follows the batch just trained."""
    fetcher = trainer.fit_loop._data_fetcher
    return bool(fetcher and trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher))


class CommandLine(LightningCLI):
    """LightningCLI under whose private steps a subclass can put its own.

    Args:
        args: The subcommand and its arguments.
        options: LightningCLI's own.
    """

    called: ClassVar[str] = ""  # how a person calls it, before the subcommand

    def __init__(self, args: list[str], **options: Any) -> None:
        self._asked = args[0]
        super().__init__(args=args, **options)

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """The one that is asked for: each parser takes a tenth of a second to make."""
        every = LightningCLI.subcommands()
        return {self._asked: every[self._asked]}

    def run_subcommand(self, subcommand: str) -> None:
        """Run the trainer's method of that name."""
        super()._run_subcommand(subcommand)

    def of_config(self, name: str) -> Any:
        """Give a part of the instantiated config of the subcommand."""
        return self._get(self.config_init, name)

    def argument_defaults(self) -> dict[str, Any]:
        """Give defaults of arguments of the trainer's methods, for those that have them."""
        return {}

    def parser_of(self, subcommand: str | None) -> Any:
        """Give the parser of a subcommand's options."""
        return self._parser(subcommand)

    def add_optimizer_method(self) -> None:
        """Let Lightning give the model an optimizer of its command line, if it asks for one."""
        self._add_configure_optimizers_method_to_model(self.subcommand)

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> Any:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        known = self._subcommand_method_arguments[subcommand]
        parser.set_defaults({k: v for k, v in self.argument_defaults().items() if k in known})
        return parser

    def _add_subcommands(self, parser: Any, **kwargs: Any) -> None:
        super()._add_subcommands(parser, **kwargs)
        for subcommand in self.subcommands():
            self.parser_of(subcommand).prog = f"{self.called} {subcommand}"

    def _run_subcommand(self, subcommand: str) -> None:
        self.run_subcommand(subcommand)

    def _dump_config(self) -> None:
        """Nothing: a subclass has put down `config_dump`, which Lightning would make once more."""

    def _parse_ckpt_path(self) -> None:
        """Nothing: the checkpoint's config lies below the user's already."""


class TableWriter(ExperimentWriter):
    """Lightning's writer of `metrics.csv`, which touches a file that is there only by `rewrite`."""

    def rewrite(self, fieldnames: list[str]) -> None:
        """Write the file anew, under further columns."""
        super()._rewrite_with_new_header(fieldnames)

    def _check_log_dir_exists(self) -> None:
        """Nothing: Lightning deletes the file of an earlier part of the run."""

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        self.rewrite(fieldnames)
