"""A run of a module and data that a program has made, kept as one of the command line is."""

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from types import FunctionType
from typing import Any

import lightning as L
import yaml
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from lightning_posenc.compat.lightning import seed_of_run
from lightning_posenc.data.meaning import described
from lightning_posenc.data.remembered import RememberedData
from lightning_posenc.data.saying import say
from lightning_posenc.pages.run_page import write_run_page
from lightning_posenc.runs import run_directory
from lightning_posenc.runs.checkpoint_files import WholeCheckpointIO, newest
from lightning_posenc.runs.main_process import is_writer
from lightning_posenc.runs.metrics_csv import MetricsCSV
from lightning_posenc.runs.run_directory import CHECKPOINTS, CONFIG
from lightning_posenc.runs.whole_files import write_whole
from lightning_posenc.training.command import told_as_ours
from lightning_posenc.training.every_run import callbacks_of_run
from lightning_posenc.training.run_checkpoint import kept_by_run
from lightning_posenc.training.trainer_options import as_list

OURS = ("default_root_dir", "callbacks", "logger", "plugins")  # what the user's is added to


def fit_objects(
    module: L.LightningModule,
    data: L.LightningDataModule,
    trainer: Mapping[str, Any],
    run_dir: Path | None,
    name: str,
    ckpt_path: str | Path | None = None,
    test: bool = True,
) -> tuple[Path, L.Trainer]:
    """Train a module, test it, and keep a run's directory.

    Args:
        module: The module.
        data: Its data.
        trainer: Arguments of Lightning's Trainer.
        run_dir: Where the run keeps what it makes; None for `runs/<name>/<id>`.
        name: Of the run's family.
        ckpt_path: A checkpoint or run directory to go on from; "last" for the newest of `run_dir`.
        test: Whether the test follows.

    Returns:
        The run's directory, and its trainer.

    Raises:
        ValueError: If the directory holds another run, or nothing to go on from.
    """
    if "default_root_dir" in trainer:
        raise ValueError("trainer: default_root_dir is the run's directory: say run_dir")
    if ckpt_path == "last" and run_dir is None:
        raise ValueError("ckpt_path=last needs run_dir: which run is to go on?")
    found: Path | None = None
    if ckpt_path is not None:
        place = Path(run_dir or "") if ckpt_path == "last" else Path(ckpt_path)
        found = place if place.is_file() else newest(place)
        if found is None and ckpt_path != "last":
            raise ValueError(f"ckpt_path={ckpt_path}: no checkpoint there")
    test = test and _has_test(module, data)
    goes_on = run_dir is not None and (ckpt_path == "last" or found is not None)
    with run_directory.alone(), told_as_ours():
        directory = run_directory.choose(run_dir, name, goes_on)
        try:
            made = _trainer(directory, trainer)
            _describe(directory, module, data, trainer)
            made.fit(module, datamodule=data, ckpt_path=found and str(found))
            if test and not made.interrupted:
                made.test(module, datamodule=data, verbose=False)
            if is_writer(made):
                write_run_page(directory)
        except BaseException as error:
            run_directory.forget(spare_metrics=True)
            if isinstance(error, MisconfigurationException):
                raise ValueError(str(error)) from error
            raise
    return directory, made


def _has_test(module: L.LightningModule, data: L.LightningDataModule) -> bool:
    """Whether there is a test; says it where there is none."""
    lacks = [
        f"{type(of).__name__} has no {name}"
        for of, name, without in (
            (module, "test_step", L.LightningModule.test_step),
            (data, "test_dataloader", L.LightningDataModule.test_dataloader),
        )
        if getattr(getattr(of, name), "__func__", None) is without
    ]
    if lacks:
        say(f"no test follows: {' and '.join(lacks)}")
    return not lacks


def _trainer(directory: Path, given: Mapping[str, Any]) -> L.Trainer:
    options = {key: value for key, value in given.items() if key not in OURS}
    own = as_list(given.get("callbacks"))
    saves = options.get("enable_checkpointing") is not False and not options.get("fast_dev_run")
    leaves_files, shows = not options.get("fast_dev_run"), options.get("enable_progress_bar")
    callbacks = callbacks_of_run(None, own, leaves_files, shows)
    if saves:
        callbacks += kept_by_run(directory / CHECKPOINTS, own)
    told = [] if given.get("logger") is False else [MetricsCSV(directory, 0, None)]
    plugins = as_list(given.get("plugins"))
    return L.Trainer(
        default_root_dir=str(directory),
        callbacks=[*callbacks, *own],
        logger=[*told, *as_list(given.get("logger"))],
        plugins=[*plugins, WholeCheckpointIO()],
        **{"use_distributed_sampler": False, "enable_model_summary": False, **options},
    )


def _describe(
    directory: Path, module: L.LightningModule, data: L.LightningDataModule, trainer: Any
) -> None:
    """Write `config.yaml`, as far as objects tell what they were made of: for reports."""
    options = data.options() if isinstance(data, RememberedData) else dict(data.hparams)
    config = {
        "seed_everything": seed_of_run(),
        "trainer": {k: v for k, v in described(dict(trainer)).items() if k not in OURS},
        "model": {"class_path": _path(module), "init_args": _told(dict(module.hparams))},
        "data": {"class_path": _path(data), "init_args": _told(described(options))},
    }
    write_whole(directory / CONFIG, yaml.safe_dump(config, sort_keys=False))


def _path(of: object) -> str:
    return f"{type(of).__module__}.{type(of).__qualname__}"


def _told(value: Any) -> Any:
    """In the spelling of config files, what says itself otherwise."""
    if isinstance(value, list | tuple):
        return [_told(each) for each in value]
    if isinstance(value, type | FunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    if not isinstance(value, Mapping):
        if isinstance(value, Enum):
            return value.name
        value = described(value)
        return _told(value) if isinstance(value, Mapping) else value
    if "class" in value and "class_path" not in value:
        arguments = {k: _told(v) for k, v in value.items() if k != "class"}
        return {"class_path": value["class"], "init_args": arguments}
    return {k: _told(v) for k, v in value.items() if k != "object"}
