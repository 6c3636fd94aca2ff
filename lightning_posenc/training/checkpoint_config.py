"""A run's whole config, in its directory and in its checkpoints."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import lightning as L
import yaml
from jsonargparse import ArgumentParser, Namespace
from lightning.pytorch.cli import SaveConfigCallback

from lightning_posenc.compat.earlier_releases import of_today
from lightning_posenc.compat.lightning import leave_out_hparams
from lightning_posenc.runs import checkpoint_files, run_directory, untrusted
from lightning_posenc.runs.checkpoint_sizes import oversized
from lightning_posenc.runs.loggers import log_config
from lightning_posenc.runs.run_directory import CONFIG
from lightning_posenc.runs.whole_files import write_whole
from lightning_posenc.training import given, trust
from lightning_posenc.training.renamed_classes import replaced
from lightning_posenc.training.resuming.taken_over import taken_over

CONFIG_KEY = "lightning_posenc_config"
# Not to be taken over by another run.
_OF_ONE_RUN = ("config", "run_dir", "name", "ckpt_path", "weights_only", "trust")
LAST = "last"  # instead of a path: wherever the run has got to


class SaveRunConfig(SaveConfigCallback):
    """Writes `config.yaml`, tells every logger, and keeps the config in each checkpoint.

    The config of a run that goes on stays as it was until a batch has been trained: an attempt that
    fails before changes nothing.

    Args:
        told: What Lightning says: the parser, and the parsed config.
        text: The config, as `dumped`.
        options: Lightning's own.
    """

    def __init__(self, *told: Any, text: str, **options: Any) -> None:
        super().__init__(*told, **options)
        self._text = text
        self._waiting: Path | None = None  # where the config is to be written

    def save_config(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        path = Path(trainer.default_root_dir, CONFIG)
        self._waiting = path
        if not path.exists():
            self._write()
        for logger in trainer.loggers:
            log_config(logger, untrusted.load_yaml(self._text, CONFIG))
        # They are in the config: Lightning would hand them on a second time, without their place.
        for part in (pl_module, getattr(trainer, "datamodule", None)):
            if part is not None:
                leave_out_hparams(part)

    def on_train_batch_end(self, *_: Any) -> None:
        self._write()

    def _write(self) -> None:
        if self._waiting is not None:
            write_whole(self._waiting, self._text)
            self._waiting = None

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[CONFIG_KEY] = self._text


def dumped(parser: ArgumentParser, config: Namespace) -> str:
    """A parsed config as YAML, without what belongs to one run alone.

    Args:
        parser: Of the subcommand.
        config: Of the subcommand. It is not checked again, which parsing has done: that would take
            as long as all the rest twice over.
    """
    config = config.clone()
    for key in _OF_ONE_RUN:
        config.pop(key, None)
    return parser.dump(config, skip_unset=False, skip_validation=True)


def parse(parser: ArgumentParser, args: list[str]) -> Namespace:
    """Parse a subcommand and its arguments, above the config of the checkpoint that they name.

    What the checkpoint's config names is imported only if it belongs to `trust.TRUSTED`, to a
    module given by `--trust`, or to one that the arguments or their config files name themselves.

    Raises:
        ValueError: If the checkpoint's config names anything else, or there is no such checkpoint.
        argparse.ArgumentError: On any other mistake.
    """
    args, trusted = given.without(trust.OPTION, args)
    with with_checkpoint_config(args) as completed:
        told = given.with_default_class("schedule", "WarmupCosine", completed.args)
        told = given.with_default_class("encoder.mixer", "Attention", told)
        if completed.stored is None:
            config = parser.parse_args(told)
        else:
            names = set(given.values(args))
            try:
                with trust.only([*trusted, *trust.modules_of(names)]):
                    config = parser.parse_args(told)
            except Exception as error:
                if name := trust.refused(error):
                    known = {*trusted, *trust.modules_of(names)}
                    others = [c for c in completed.classes if c.partition(".")[0] not in known]
                    raise ValueError(
                        f"--ckpt_path {completed.stored}: its config names {name}, which belongs "
                        f"to none of {', '.join(trust.TRUSTED)}: {trust.hint(name, others)}"
                    ) from error
                raise
            trust.check_plain(config, names)
    trust.check_calls(config)
    chosen = config[config.subcommand]
    if chosen.trust is not None:  # those of the command line have been taken already
        raise ValueError(f"trust: a file cannot say whom to trust; give {trust.OPTION} MODULE")
    if chosen.get("weights_only") is False:
        raise ValueError("weights_only=false: checkpoints are read safely only; leave it out")
    chosen.weights_only = True
    return config


class Completed(NamedTuple):
    """Arguments of a subcommand.

    Args:
        args: The arguments, with the checkpoint's config as one more `--config`.
        stored: The checkpoint that it is of; None if there is none.
        classes: What its config names by `class_path`.
    """

    args: list[str]
    stored: Path | None
    classes: frozenset[str] = frozenset()


@contextmanager
def with_checkpoint_config(args: list[str]) -> Iterator[Completed]:
    """Put the config that a checkpoint was trained with below what the user says.

    With `--ckpt_path FILE`, or `ckpt_path` in a config file, the checkpoint's model replaces that
    of the user's config files, and arguments on the command line beat both. Without a config file,
    the checkpoint's data and the plain options of its trainer are taken too, and the run belongs
    to the same family.

    The value can be a run directory too, which stands for its newest checkpoint. `fit` goes on from
    the run's newest whole checkpoint where the file named is broken, and takes `last`: the newest
    of `--run_dir`, or the beginning if there is none, so that one command starts a run and resumes
    it.

    Args:
        args: A subcommand and its arguments.

    Yields:
        What is to be parsed.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it is not a whole checkpoint of this package, or none of the run's is.
    """
    if "--help" in args or "-h" in args:
        yield Completed(args, None)
        return
    told = given.value_of("--ckpt_path", args)
    in_file = None if told is not None else given.in_files("ckpt_path", args)
    where = told if told is not None else in_file
    if where in (None, "", "null"):
        yield Completed(args, None)
        return
    fits = args[0] == "fit"
    run_dir = given.value_of("--run_dir", args) or given.in_files("run_dir", args)
    path = _checkpoint(str(where), run_dir, fits)
    if path is None:
        yield Completed(args, None)
        return
    after = given.after_configs(args)
    if told is None:
        args = [*args[:after], "--ckpt_path", str(path), *args[after:]]
    else:
        args = given.with_value("--ckpt_path", str(path), args)
    contents = checkpoint_files.checked(path, resumes=fits)
    # The command that started the run describes it: a list that it adds to would grow each time.
    if where == LAST and given.value_of("--model", args) is not None:
        yield Completed(args, None)
        return
    config = taken_over(stored_config(path, contents), path, fits and after == 1)
    replaced(config, args)
    more = []
    if after > 1:
        config = {"model": config["model"]}
    elif given.value_of("--name", args) is None:
        more = ["--name", _family(path, args[0])]
    with TemporaryDirectory() as directory:
        stored = Path(directory, CONFIG)
        text = yaml.safe_dump(config)
        stored.write_text(text, "utf-8")
        named = frozenset(re.findall(r"^[ -]*class_path: ([\w.]+)$", text, re.MULTILINE))
        before, behind = args[:after], args[after:]
        yield Completed([*before, "--config", str(stored), *more, *behind], path, named)


def _checkpoint(where: str, run_dir: Any, fits: bool) -> Path | None:
    """The checkpoint that `ckpt_path` means; None if `last` finds that there is none yet."""
    if "://" in where:
        raise ValueError(f"--ckpt_path {where}: nothing is fetched: name a local .ckpt file")
    path = Path(where)
    if fits and where == LAST:
        return checkpoint_files.newest(Path(run_dir)) if run_dir else None
    if checkpoint_files.is_checkpoint(path):
        directory = run_directory.resume_directory(path)
        if fits and directory is not None and checkpoint_files.fault(path) is not None:
            return checkpoint_files.newest(directory, broken=[path])
        return path
    if path.is_dir():
        if newest := checkpoint_files.newest(path):
            return newest
        raise FileNotFoundError(f"--ckpt_path {path}: the directory holds no checkpoint")
    raise FileNotFoundError(f"--ckpt_path {path}: no such file; name a .ckpt file")


def _family(path: Path, command: str) -> str:
    """The family of runs that a checkpoint belongs to; without one it is called as its file is.

    A run that lies in runs/ itself, without a family, has one for each command beside it.
    """
    directory = run_directory.resume_directory(path.absolute())
    if directory is None:
        return path.stem
    if directory.parent == Path("runs").absolute():
        return f"{directory.name}-{command}"
    return directory.parent.name or path.stem


def stored_config(path: Path, contents: Mapping[str, Any]) -> dict[str, Any]:
    """The config that a checkpoint was trained with.

    Args:
        path: What errors name.
        contents: Of the checkpoint.

    Raises:
        ValueError: If it holds none.
    """
    try:
        config = of_today(untrusted.load_yaml(contents[CONFIG_KEY], "its config"))
    except KeyError:
        raise ValueError(
            f"--ckpt_path {path}: the checkpoint holds no config of lightning_posenc; it was not "
            "made by its fit command"
        ) from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"--ckpt_path {path}: not a readable checkpoint ({error})") from error
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict):
        raise ValueError(f"--ckpt_path {path}: its config names no model; it was not made by fit")
    if asked := oversized(config["model"], contents.get("state_dict")):
        raise ValueError(f"--ckpt_path {path}: its config asks for {asked}; fit has not made it")
    return config
