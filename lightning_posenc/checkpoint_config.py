"""A run's whole config, in its directory and in its checkpoints."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
import yaml
from lightning.pytorch.cli import SaveConfigCallback

from lightning_posenc import checkpoint_io, run_directory
from lightning_posenc.loggers import log_config
from lightning_posenc.run_directory import CONFIG

_KEY = "lightning_posenc_config"
_OF_ONE_RUN = ("config", "run_dir", "name", "ckpt_path")  # not to be taken over by another run
_OF_A_MODEL = ("model",)
LAST = "last"  # instead of a path: wherever the run has got to


class SaveRunConfig(SaveConfigCallback):
    """Writes `config.yaml`, tells every logger, and keeps the config in each checkpoint."""

    _dumped: str | None = None

    def save_config(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        path = Path(trainer.default_root_dir, CONFIG)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._yaml())
        for logger in trainer.loggers:
            log_config(logger, yaml.safe_load(self._yaml()))
        # They are in the config: Lightning would hand them on a second time, without their place.
        for part in (pl_module, getattr(trainer, "datamodule", None)):
            if part is not None:
                part._log_hyperparams = False

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[_KEY] = self._yaml()

    def _yaml(self) -> str:
        if self._dumped is None:  # once: it takes a fifth of a second, for each checkpoint
            config = self.config.clone()
            for key in _OF_ONE_RUN:
                config.pop(key, None)
            self._dumped = self.parser.dump(config, skip_none=False)
        return self._dumped


@contextmanager
def with_checkpoint_config(args: list[str]) -> Iterator[list[str]]:
    """Put the config that a checkpoint was trained with below what the user says.

    With `--ckpt_path FILE`, the checkpoint's model replaces that of the user's config files, and
    arguments on the command line beat both. Without a config file, the checkpoint's data and
    trainer are taken too, and the run belongs to the same family.

    The value can be a run directory too, which stands for its newest checkpoint. `fit` goes on from
    the run's newest whole checkpoint where the file named is broken, and takes `last`: the newest
    of `--run_dir`, or the beginning if there is none, so that one command starts a run and resumes
    it.

    Args:
        args: A subcommand and its arguments.

    Yields:
        The arguments, with the checkpoint's config as one more `--config`.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it is not a checkpoint of this package, or none of the run's is whole.
    """
    given = _value_of("--ckpt_path", args)
    if given is None or "--help" in args or "-h" in args:
        yield args
        return
    path = _checkpoint(given, _value_of("--run_dir", args), fits=args[0] == "fit")
    if path is None:
        yield args
        return
    args = _with_value("--ckpt_path", str(path), args)
    # The command that started the run describes it: a list that it adds to would grow each time.
    if given == LAST and _value_of("--model", args) is not None:
        yield args
        return
    config = _stored_config(path)
    after = 1 + max(
        (i + (arg in ("-c", "--config")) for i, arg in enumerate(args) if _is_config(arg)),
        default=0,
    )
    more = []
    if after > 1:
        config = {key: config[key] for key in _OF_A_MODEL}
    elif _value_of("--name", args) is None:
        more = ["--name", path.absolute().parents[2].name]
    with TemporaryDirectory() as directory:
        stored = Path(directory, CONFIG)
        stored.write_text(yaml.safe_dump(config))
        yield [*args[:after], "--config", str(stored), *more, *args[after:]]


def _checkpoint(given: str, run_dir: str | None, fits: bool) -> Path | None:
    """The checkpoint that `--ckpt_path` means; None if `last` finds that there is none yet."""
    path = Path(given)
    if fits and given == LAST:
        return checkpoint_io.newest(Path(run_dir)) if run_dir else None
    if checkpoint_io.is_checkpoint(path):
        directory = run_directory.resume_directory(path)
        if fits and directory is not None and checkpoint_io.fault(path) is not None:
            return checkpoint_io.newest(directory, broken=[path])
        return path
    if path.is_dir():
        if newest := checkpoint_io.newest(path):
            return newest
        raise FileNotFoundError(f"--ckpt_path {path}: the directory holds no checkpoint")
    raise FileNotFoundError(f"--ckpt_path {path}: no such file; name a .ckpt file")


def _stored_config(path: Path) -> dict[str, Any]:
    try:
        return yaml.safe_load(checkpoint_io.read(path)[_KEY])
    except KeyError:
        raise ValueError(
            f"--ckpt_path {path}: the checkpoint holds no config of lightning_posenc; it was not "
            "made by its fit command"
        ) from None
    except Exception as error:
        raise ValueError(f"--ckpt_path {path}: not a readable checkpoint ({error})") from error


def _value_of(flag: str, args: list[str]) -> str | None:
    for i, arg in enumerate(args):
        if arg == flag and i + 1 < len(args):
            return args[i + 1]
        if arg.startswith(f"{flag}="):
            return arg.split("=", 1)[1]
    return None


def _with_value(flag: str, value: str, args: list[str]) -> list[str]:
    args = list(args)
    for i, arg in enumerate(args):
        if arg == flag:
            args[i + 1] = value
        elif arg.startswith(f"{flag}="):
            args[i] = f"{flag}={value}"
    return args


def _is_config(arg: str) -> bool:
    return arg in ("-c", "--config") or arg.startswith("--config=")
