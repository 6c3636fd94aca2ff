"""Which run goes on when `fit` is given a checkpoint: the one it lies in, or a new one.

A run goes on in its directory only if it is the same experiment, from where it has got to. Anything
else would overwrite what it has measured.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lightning_posenc.compat.earlier_releases import of_today
from lightning_posenc.runs import checkpoint_files, run_directory, untrusted
from lightning_posenc.runs.run_directory import CONFIG
from lightning_posenc.training.checkpoint_config import CONFIG_KEY

_EXPERIMENT = ("model", "data", "seed_everything")
# On which no result depends.
_FREE = {"num_workers", "eval_batch_size", "compile", "checkpoint_activations"}
_STEP = "global_step"


def directory_to_go_on(ckpt_path: Path, config: Mapping[str, Any]) -> tuple[Path | None, str]:
    """The directory in which a fit without `--run_dir` goes on, and why it is not the checkpoint's.

    Args:
        ckpt_path: The checkpoint.
        config: The whole config of the fit, as YAML knows it.

    Returns:
        The run directory that the checkpoint lies in, or None for a new one; and what to tell, or
        "".
    """
    directory = run_directory.resume_directory(ckpt_path)
    if directory is None:
        return None, ""
    changed = differences(directory, config)
    if changed:
        why = f"{', '.join(changed[:3])} {'differs' if len(changed) == 1 else 'differ'}"
        why += f" ({len(changed) - 3} more)" if len(changed) > 3 else ""
    else:
        step, newest = _step(ckpt_path), _newest_step(directory)
        if newest <= step:
            return directory, ""
        why = f"the checkpoint is of step {step}, and the run has got to step {newest}"
    return None, (
        f"note: not going on in {directory}, for {why}: a new run begins from the checkpoint "
        f"(--run_dir {directory} goes on there)"
    )


def is_of(ckpt_path: Path, directory: Path | None) -> bool:
    """Whether a checkpoint belongs to the run of a directory: by its place, or by its config."""
    if directory is None or not (directory / CONFIG).exists():
        return False
    if directory.resolve() in ckpt_path.resolve().parents:
        return True
    try:
        stored = checkpoint_files.read(ckpt_path)[CONFIG_KEY]
        config = of_today(untrusted.load_yaml(stored, str(ckpt_path)))
    except Exception:  # whatever it is, it is no checkpoint of this run
        return False
    return isinstance(config, Mapping) and not differences(directory, config)


def differences(directory: Path, config: Mapping[str, Any]) -> list[str]:
    """The options by which a config is another experiment than that of a run directory.

    The trainer's options do not count: a run that goes on for more epochs, or on other devices, is
    the same.
    """
    try:
        before = of_today(untrusted.read_yaml(directory / CONFIG))
    except (OSError, ValueError):
        return [CONFIG]
    if not isinstance(before, Mapping):
        return [CONFIG]
    now = dict(_leaves(config))
    return [
        name.replace(".init_args", "")
        for name, value in _leaves(before)
        if name.partition(".")[0] in _EXPERIMENT
        and not _FREE & set(name.split("."))
        and (name not in now or not _is_same(now[name], value))
    ]


def _is_same(now: Any, before: Any) -> bool:
    """Whether two values are the same, a class perhaps by two paths of its package."""
    if now == before or not (isinstance(now, str) and isinstance(before, str)):
        return bool(now == before)
    ours, theirs = now.split("."), before.split(".")
    is_class = len(ours) > 1 < len(theirs) and ours[-1][:1].isupper()
    return is_class and (ours[0], ours[-1]) == (theirs[0], theirs[-1])


def _leaves(config: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        # A class without options is written as its path alone.
        name = within.rstrip(".") if key == "class_path" and within else f"{within}{key}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value


def _newest_step(directory: Path) -> int:
    """The most steps that a whole checkpoint of a run has made."""
    found = run_directory.checkpoints(directory)
    return max((_step(path) for path in found if checkpoint_files.is_checkpoint(path)), default=0)


def _step(path: Path) -> int:
    try:
        step = checkpoint_files.read(path)[_STEP]
    except Exception:  # a broken one, which no run goes on from
        return 0
    return step if isinstance(step, int) else 0
