"""From a checkpoint to a model that answers."""

import contextlib
import random
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lightning_posenc.inference.predictor import Predictor
from lightning_posenc.inference.programs import is_of_a_program, of_a_program
from lightning_posenc.runs import checkpoint_files
from lightning_posenc.training.summary import METRICS


def load(
    ckpt: str | PathLike[str],
    *,
    device: str | torch.device | None = None,
    precision: str | None = None,
    trust: str | Sequence[str] = (),
) -> Predictor:
    """Load a trained model, ready to answer: labels, tags, texts, continuations.

    What the model's numbers mean (words, pieces, labels, lengths) comes out of the checkpoint: the
    data that it was trained on need not be there. A checkpoint runs no code: it may name classes of
    this package, of torch and of Lightning alone, and of modules that you trust.

    Example:
        >>> import lightning_posenc                                     # doctest: +SKIP
        >>> model = lightning_posenc.load("runs/text_classification/ID")  # doctest: +SKIP
        >>> model("I am so happy")["label"]                             # doctest: +SKIP
        'joy'

    Args:
        ckpt: A run's directory, which stands for its newest checkpoint, or a checkpoint's file, of
            `fit` or of a Trainer in a program.
        device: Where it runs: "cpu", "cuda", "cuda:1", "mps"; None for a GPU, if there is one.
        precision: As Lightning calls it: "32-true", "bf16-mixed", "bf16-true", …; None for float32.
        trust: A module, or several, whose classes the checkpoint may name, such as your own.

    Raises:
        ValueError: If it is no whole checkpoint, names what is not trusted, or there is no such
            device.
        FileNotFoundError: If there is none.
    """
    trust = [trust] if isinstance(trust, str) else trust
    path = found(Path(ckpt).expanduser())
    contents = checkpoint_files.checked(path)
    with _random_numbers_untouched():
        module, data = (
            of_a_program(path, contents, trust)
            if is_of_a_program(contents)
            else _of_a_command(path, trust)
        )
    made = Predictor(module, data, device=device, precision=precision)
    made.path, made.step = path, int(contents.get("global_step", 0))
    metrics = contents.get(METRICS)
    made.metrics = metrics if isinstance(metrics, dict) else {}
    return made


def found(path: Path) -> Path:
    """The checkpoint that a path means.

    Raises:
        FileNotFoundError: If there is none.
    """
    if checkpoint_files.is_checkpoint(path):
        return path
    if not path.is_dir():
        raise FileNotFoundError(f"{path} does not exist: name a run's directory, or a .ckpt file")
    newest = checkpoint_files.newest(path)
    if newest is None:
        raise FileNotFoundError(f"{path} holds no checkpoint: name a run's directory")
    return newest


def _of_a_command(path: Path, trust: Sequence[str]) -> tuple[Any, Any]:
    from lightning_posenc.training.built import Built
    from lightning_posenc.training.command import in_words

    trusted = [word for module in trust for word in ("--trust", module)]
    with in_words():
        made = Built(["--ckpt_path", str(path), "--seed_everything=false", *trusted])
    return made.model, made.datamodule


@contextlib.contextmanager
def _random_numbers_untouched() -> Iterator[None]:
    """Keep what a program draws as it is: making a model draws its first weights."""
    of_python, of_numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)
