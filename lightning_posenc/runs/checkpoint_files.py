"""Checkpoints that are whole or absent, and the newest whole one of a run."""

import re
import sys
import zipfile
from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from fsspec.core import url_to_fs
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from lightning_posenc.compat.earlier_releases import rename_callbacks
from lightning_posenc.compat.lightning import is_local
from lightning_posenc.runs import run_directory
from lightning_posenc.runs.checkpoint_parts import lacks
from lightning_posenc.runs.checkpoint_shards import check_shards, shapes_of_shards
from lightning_posenc.runs.run_directory import CHECKPOINTS, METRICS, SUMMARY
from lightning_posenc.runs.whole_files import UNFINISHED, whole_file

_WEIGHTS = "state_dict"
_SHARDED = "meta.pt"  # what Lightning adds to a directory of shards, when they are all written


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and moves it there when it is on the disk.

    Whatever stops the process, the place holds the former checkpoint or the new one. Lightning's
    own way goes through the system's temporary directory, from where a file is copied, not moved,
    if that is another file system. Places that are not local are left to Lightning.

    Attributes:
        callbacks: The keys of the trainer's callbacks, which those of an earlier release's
            checkpoint are renamed to.
    """

    callbacks: Collection[str] = ()

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        if storage_options is not None or not is_local(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        with whole_file(Path(url_to_fs(str(path))[1]), "wb") as file:
            torch.save(checkpoint, file)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a whole checkpoint, tensors and plain values only unless `weights_only` is False.

        Raises:
            ValueError: If it is damaged or holds anything else.
        """
        if not is_local(path):
            return super().load_checkpoint(path, map_location, weights_only)
        local = Path(url_to_fs(str(path))[1])
        if weights_only is not False:  # a program's own word: no file and no command can say that
            checked(local)
        contents = torch.load(local, map_location, weights_only=weights_only is not False)
        rename_callbacks(contents.get("callbacks") or {}, self.callbacks)
        return contents

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint, and nothing that only a checkpoint's state calls one."""
        is_one = Path(path).suffix == ".ckpt" and ".." not in Path(path).parts
        if is_one or not is_local(path):
            super().remove_checkpoint(path)


def remove_unfinished(run_dir: Path) -> None:
    """Remove what a process left that was killed while it wrote a file of the run."""
    tables = [run_dir.glob(f"{name}.*{UNFINISHED}") for name in (SUMMARY, METRICS)]
    for path in chain(*tables, (run_dir / CHECKPOINTS).rglob(f"*{UNFINISHED}")):
        path.unlink(missing_ok=True)


def is_checkpoint(path: Path) -> bool:
    """Whether a file, or a directory of shards, can be a checkpoint, by its looks alone."""
    return path.is_file() or (path / _SHARDED).is_file()


def read(path: Path) -> dict[str, Any]:
    """A checkpoint's contents, tensors unread until they are used, without those of its shards."""
    file = path / _SHARDED if path.is_dir() else path
    return torch.load(file, map_location="cpu", weights_only=True, mmap=True)


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of a checkpoint's weights, by name."""
    if path.is_dir():
        return shapes_of_shards(path, _WEIGHTS)
    state = read(path)[_WEIGHTS].items()
    return {name: tuple(value.shape) for name, value in state if isinstance(value, torch.Tensor)}


def checked(path: Path, resumes: bool = False) -> dict[str, Any]:
    """A checkpoint's contents, once it is sure that they are whole and can harm nobody.

    Args:
        path: A file, or a directory of shards.
        resumes: Whether a run is to go on from it, and not only its model to be looked at.

    Raises:
        ValueError: If it is damaged, holds anything but tensors and plain values, lacks a part, or
            has weights that are no numbers.
    """
    try:
        wrong = _damage(path)
        contents = {} if wrong else read(path)
        if not wrong and path.is_dir():
            check_shards(path)
        wrong = wrong or lacks(contents, resumes, path.is_dir())
    except Exception as error:
        wrong = _reason(error)
    if wrong:
        raise ValueError(f"{path} is not a whole checkpoint ({wrong})")
    return contents


def newest(run_dir: Path, broken: Sequence[Path] = ()) -> Path | None:
    """The checkpoint of a run that was written last and is whole; says which broken it passes by.

    Args:
        run_dir: The run directory.
        broken: Checkpoints that are known to be broken.

    Returns:
        Its path, or None if the run has no checkpoint yet.

    Raises:
        ValueError: If every one is broken.
    """
    found = [path for path in run_directory.checkpoints(run_dir) if is_checkpoint(path)]
    found.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    passed = list(broken)
    for path in found:
        if path in passed:
            continue
        if fault(path) is None:
            if passed:
                _say(f"warning: {_faults(passed)}; going on from {path}")
            return path
        passed.append(path)
    if passed:
        raise ValueError(
            f"{run_dir} holds no checkpoint to go on from: {_faults(passed)}; "
            "remove them to start from the beginning"
        )
    return None


def fault(path: Path) -> str | None:
    """Why a run cannot go on from a checkpoint, or None if it can."""
    try:
        if damage := _damage(path):
            return damage
        contents = read(path)
    except Exception as error:
        return _reason(error)
    if "loops" not in contents or not (path.is_dir() or "optimizer_states" in contents):
        return "it holds weights only"
    return None


def _damage(path: Path) -> str | None:
    """What is wrong with a checkpoint's file; None if it is as it was written."""
    file = path / _SHARDED if path.is_dir() else path
    status = file.stat()
    return _damage_of(file, status.st_size, status.st_mtime_ns)


@lru_cache
def _damage_of(file: Path, size: int, changed: int) -> str | None:
    # Kept, since reading the whole file takes time: it is asked before a run is chosen and again
    # when its checkpoint is loaded.
    if not zipfile.is_zipfile(file):
        return "it is no file of torch.save"
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
        # torch.save compresses nothing; what is compressed can take a thousand times its size.
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
            return "it is compressed"
        if sum(part.file_size for part in parts) > size:
            return "its parts overlap"
        # The list of a file's parts stands at its end; their checksums tell of a hole before it.
        damaged = archive.testzip()
    return None if damaged is None else f"{damaged} is damaged"


def _reason(error: Exception) -> str:
    """An error's first line, without torch's advice to load the file unsafely."""
    said = str(error)
    if "Unsupported" in said or "weights_only" in said.lower() or "Weights only" in said:
        found = re.search(r"(?:GLOBAL|global:?|Unsupported (?:class|operand)) ([\w.]+)", said)
        return f"it holds more than tensors and plain values{f', {found[1]}' if found else ''}"
    return said.partition("\n")[0].rstrip(".") or type(error).__name__


def _faults(paths: Sequence[Path]) -> str:
    return "; ".join(f"{path} is not a whole checkpoint ({fault(path)})" for path in paths)


@rank_zero_only
def _say(line: str) -> None:
    print(line, file=sys.stderr)
