"""A run's whole config, in its directory and in its checkpoints."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
import torch
import yaml
from lightning.pytorch.cli import SaveConfigCallback

from lightning_posenc.run_directory import CONFIG

_KEY = "lightning_posenc_config"
_OF_ONE_RUN = ("config", "run_dir", "name", "ckpt_path")  # not to be taken over by another run
_OF_A_MODEL = ("model",)


class SaveRunConfig(SaveConfigCallback):
    """Writes `config.yaml`, tells every logger, and keeps the config in each checkpoint."""

    def save_config(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        path = Path(trainer.default_root_dir, CONFIG)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._yaml())
        for logger in trainer.loggers:
            logger.log_hyperparams(yaml.safe_load(self._yaml()))

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[_KEY] = self._yaml()

    def _yaml(self) -> str:
        config = self.config.clone()
        for key in _OF_ONE_RUN:
            config.pop(key, None)
        return self.parser.dump(config, skip_none=False)


@contextmanager
def with_checkpoint_config(args: list[str]) -> Iterator[list[str]]:
    """Put the config that a checkpoint was trained with below what the user says.

    With `--ckpt_path FILE`, the checkpoint's model replaces that of the user's config files, and
    arguments on the command line beat both. Without a config file, the checkpoint's data and
    trainer are taken too, and the run belongs to the same family.

    Args:
        args: A subcommand and its arguments.

    Yields:
        The arguments, with the checkpoint's config as one more `--config`.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it is not a checkpoint of this package.
    """
    given = _value_of("--ckpt_path", args)
    if given is None or "--help" in args or "-h" in args:
        yield args
        return
    path = Path(given)
    if not path.is_file():
        raise FileNotFoundError(f"--ckpt_path {path}: no such file; name a .ckpt file")
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


def _stored_config(path: Path) -> dict[str, Any]:
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return yaml.safe_load(checkpoint[_KEY])
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


def _is_config(arg: str) -> bool:
    return arg in ("-c", "--config") or arg.startswith("--config=")
