"""Begin with the weights of another run, where they fit: a model that goes on to learn other
things, perhaps with another encoding.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lightning_posenc.data.meaning import FORMAT, listed
from lightning_posenc.data.saying import say
from lightning_posenc.data.text.base import CorpusData
from lightning_posenc.data.text.vocabulary import vocabulary_of
from lightning_posenc.modules.scored import ScoredModule
from lightning_posenc.runs import checkpoint_files


def checkpoint_of(given: Path) -> Path:
    """The checkpoint that `warm_start` means; of a run's directory its newest.

    Raises:
        ValueError: If there is none, or it is sharded.
    """
    path = given.expanduser()
    if path.is_dir() and not checkpoint_files.is_checkpoint(path):
        path = checkpoint_files.newest(path) or path
    if not path.is_file():
        raise ValueError(
            f"--warm_start {given}: name a run's directory, or a checkpoint of one file"
        )
    return path


def read_as_there(data: object, path: Path) -> None:
    """Let data cut text into the tokens that a checkpoint's weights know, if it is of the same kind
    of vocabulary: pieces of `bpe` that were trained anew would be others.

    Args:
        data: That is to be trained on, not read yet.
        path: The checkpoint.
    """
    if not isinstance(data, CorpusData):
        return
    for state in checkpoint_files.read(path).values():
        if not isinstance(state, Mapping) or FORMAT not in state:
            continue
        told = state["meaning"].get("vocabulary")
        if told and state["options"].get("vocabulary") == data.vocabulary_name:
            data.read_by(vocabulary_of(told))


def begin_with(module: nn.Module, path: Path) -> None:
    """Take the weights of a checkpoint that a model has, by name and shape; says which it has not.

    Args:
        module: Changed.
        path: The checkpoint.

    Raises:
        ValueError: If it is no whole checkpoint, or none of its weights fits.
    """
    contents = checkpoint_files.checked(path)
    own, theirs = module.state_dict(), contents["state_dict"]
    fit = {name for name, value in own.items() if _fits(value, theirs.get(name))}
    if not fit:
        raise ValueError(
            f"--warm_start {path}: none of its weights fits the model: give a model of its sizes"
        )
    module.load_state_dict({name: theirs[name] if name in fit else own[name] for name in own})
    if isinstance(module, ScoredModule):
        module.know(contents)  # so that words or classes of other numbers are said
    anew = [name for name in own if name not in fit]
    unread = [name for name in theirs if name not in fit]
    n = sum(own[name].numel() for name in fit)
    line = f"warm start: {n:,} numbers of {path}"
    line += f"; not there, or of another shape, and begun anew: {listed(anew)}" if anew else ""
    say(line + (f"; not taken: {listed(unread)}" if unread else ""))


def _fits(own: Any, other: Any) -> bool:
    return isinstance(own, Tensor) and isinstance(other, Tensor) and own.shape == other.shape


def best_of(trainer: Any) -> str | None:
    """The checkpoint of the least validation loss that a trainer has written; None without one."""
    for callback in trainer.checkpoint_callbacks:
        if callback.monitor == "val/loss" and callback.best_model_path:
            return str(callback.best_model_path)
    return None
