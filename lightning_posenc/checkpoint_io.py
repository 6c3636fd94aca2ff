"""Checkpoints that are whole or absent, and the newest whole one of a run."""

import sys
import zipfile
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from fsspec.core import url_to_fs
from lightning.fabric.utilities.cloud_io import _is_local_file_protocol
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from lightning_posenc.run_directory import CHECKPOINTS, METRICS, SUMMARY
from lightning_posenc.whole_files import UNFINISHED, whole_file

_SHARDED = "meta.pt"  # what Lightning adds to a directory of shards, when they are all written


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and moves it there when it is on the disk.

    Whatever stops the process, the place holds the former checkpoint or the new one. Lightning's
    own way goes through the system's temporary directory, from where a file is copied, not moved,
    if that is another file system. Places that are not local are left to Lightning.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        if storage_options is not None or not _is_local_file_protocol(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        with whole_file(Path(url_to_fs(str(path))[1]), "wb") as file:
            torch.save(checkpoint, file)


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
    found = [path for path in (run_dir / CHECKPOINTS).rglob("*.ckpt") if is_checkpoint(path)]
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
        contents = read(path)
        # The list of a file's parts stands at its end; their checksums tell of a hole before it.
        damaged = None if path.is_dir() else zipfile.ZipFile(path).testzip()
    except Exception as error:
        return str(error).partition("\n")[0].rstrip(".") or type(error).__name__
    if damaged is not None:
        return f"{damaged} is damaged"
    if "loops" not in contents or not (path.is_dir() or "optimizer_states" in contents):
        return "it holds weights only"
    return None


def _faults(paths: Sequence[Path]) -> str:
    return "; ".join(f"{path} is not a whole checkpoint ({fault(path)})" for path in paths)


@rank_zero_only
def _say(line: str) -> None:
    print(line, file=sys.stderr)
