"""`fit`, `validate` and `test` from Python."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L

from lightning_posenc import shipped
from lightning_posenc.api.run_result import RunResult
from lightning_posenc.api.words import as_yaml, options, settings
from lightning_posenc.training import command
from lightning_posenc.training.command_line import TrainingCLI
from lightning_posenc.training.of_objects import fit_objects

Config = str | Path | Mapping[str, Any]


def fit(
    config: Config | L.LightningModule,
    settings_or_data: Mapping[str, Any] | L.LightningDataModule | None = None,
    *,
    trainer: Mapping[str, Any] | None = None,
    run_dir: str | Path | None = None,
    name: str | None = None,
    ckpt_path: str | Path | None = None,
    test_after_fit: bool = True,
) -> RunResult:
    """Train a model, test it, and keep a run's directory.

    Example:
        >>> from lightning_posenc import api
        >>> run = api.fit("quickstart", {"model.positional": "RoPE"}, run_dir="r")  # doctest: +SKIP
        >>> run = api.fit(module, data, trainer={"max_epochs": 2})  # doctest: +SKIP

    Args:
        config: The name of a config that comes along, a file, or a config as a mapping; or a
            module, of which `trainer` says how long it is trained.
        settings_or_data: Of a config, settings that beat it, nested or by dotted keys, in the
            spelling of config files: {"model.positional": "ALiBi", "trainer": {"max_epochs": 2}}.
            Of a module, its data module.
        trainer: Of a module, arguments of Lightning's Trainer, callbacks and loggers among them,
            which are added to those that every run has.
        run_dir: Where the run keeps what it makes; None for `runs/<name>/<id>`.
        name: Of the run's family; None for the config's, or the module's class.
        ckpt_path: A checkpoint or run directory to go on from; "last" for the run's own newest.
        test_after_fit: Whether the test follows.

    Returns:
        The run, with `module`, `data` and `trainer` as training left them.

    Raises:
        ValueError: On what the command line refuses, in its words.
        TypeError: If data is no data module.
    """
    if isinstance(config, L.LightningModule):
        if not isinstance(settings_or_data, L.LightningDataModule):
            given = type(settings_or_data).__name__
            raise TypeError(f"fit(module, data): data must be a LightningDataModule, got a {given}")
        directory, used = fit_objects(
            config,
            settings_or_data,
            dict(trainer or {}),
            None if run_dir is None else Path(run_dir),
            name or type(config).__name__,
            ckpt_path,
            test_after_fit,
        )
        return RunResult(directory, config, settings_or_data, used)
    if trainer is not None:
        raise ValueError('fit(config): say what the trainer is to do as {"trainer": {…}}')
    if not isinstance(settings_or_data, Mapping | None):
        raise TypeError("fit(config, settings): settings must be a mapping, as {'key': value}")
    return _done(
        "fit",
        config,
        settings_or_data or {},
        [
            *options(run_dir=run_dir, name=name, ckpt_path=ckpt_path),
            *([] if test_after_fit else ["--test_after_fit=false"]),
        ],
    )


def test(
    checkpoint: str | Path,
    given: Mapping[str, Any] | None = None,
    *,
    run_dir: str | Path | None = None,
) -> RunResult:
    """Test a checkpoint at every test length, on the data that it names or on other data.

    Args:
        checkpoint: A checkpoint's file, or a run directory.
        given: Settings that beat those of its config: {"data.eval_lengths": [32, 64]}.
        run_dir: Where the test keeps what it makes; None for a directory of its own.

    Raises:
        ValueError: On what the command line refuses, in its words.
    """
    return _of_checkpoint("test", checkpoint, given, run_dir)


def validate(
    checkpoint: str | Path,
    given: Mapping[str, Any] | None = None,
    *,
    run_dir: str | Path | None = None,
) -> RunResult:
    """Evaluate a checkpoint on the validation data that it names, or on others.

    Args:
        checkpoint: A checkpoint's file, or a run directory.
        given: Settings that beat those of its config.
        run_dir: Where the validation keeps what it makes; None for a directory of its own.

    Raises:
        ValueError: On what the command line refuses, in its words.
    """
    return _of_checkpoint("validate", checkpoint, given, run_dir)


def _of_checkpoint(
    subcommand: str,
    checkpoint: str | Path,
    given: Mapping[str, Any] | None,
    run_dir: str | Path | None,
) -> RunResult:
    told = options(ckpt_path=checkpoint, run_dir=run_dir)
    return _done(subcommand, None, given or {}, told)


def _done(
    subcommand: str, config: Config | None, given: Mapping[str, Any], told: list[str]
) -> RunResult:
    with tempfile.TemporaryDirectory() as place:
        words = [subcommand]
        if isinstance(config, Mapping):
            file = Path(place, "config.yaml")
            file.write_text(as_yaml(config), encoding="utf-8")
            words += ["--config", str(file)]
        elif config is not None:
            words += ["--config", shipped.path_of("configs", str(config))]
        with command.in_words():
            left: TrainingCLI = command.done([*words, *settings(given), *told])
    return RunResult(left.run_dir, left.model, left.datamodule, left.trainer)
