"""A folder for a model of any wiring: its weights in safetensors, its arguments in JSON.

It holds what a checkpoint of a program holds, and is read as such.
"""

import importlib
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning
import torch

from lightning_posenc.data.text.vocabulary import Vocabulary
from lightning_posenc.mistakes.one_line import reason
from lightning_posenc.modules import EncoderModule
from lightning_posenc.modules.hyperparameters import check_named
from lightning_posenc.runs import strict_json
from lightning_posenc.runs.checkpoint_sizes import oversized
from lightning_posenc.runs.untrusted import read_json

DESCRIPTION, WEIGHTS = "lightning_posenc.json", "model.safetensors"


def write(
    module: EncoderModule,
    folder: Path,
    vocabulary: Vocabulary | None = None,
    class_names: tuple[str, ...] = (),
) -> None:
    """Write a model.

    Args:
        module: The model.
        folder: Where to; it is there, and empty.
        vocabulary: What its token ids stand for.
        class_names: What its classes are called.

    Raises:
        ValueError: If an argument of the model is of no kind that a file can tell.
    """
    from safetensors.torch import save_file

    kind = type(module)
    description: dict[str, Any] = {
        "class_path": f"{kind.__module__}.{kind.__qualname__}",
        "init_args": dict(module.hparams),
    }
    if lost := _lost(description["init_args"]):
        raise ValueError(f"{lost}, which a file cannot tell: use a class, or partial of one")
    if vocabulary is not None:
        description["vocabulary"] = vocabulary.state()
    if class_names:
        description["class_names"] = list(class_names)
    text = strict_json.text(description, indent=2, ensure_ascii=False) + "\n"
    (folder / DESCRIPTION).write_text(text, encoding="utf-8")
    state = {name: value.contiguous().clone() for name, value in module.state_dict().items()}
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})


def read(folder: Path, kind: type[EncoderModule] | None = None, **options: Any) -> EncoderModule:
    """Read a model that `write` has written.

    Args:
        folder: Where it is.
        kind: The class; None for its own.
        options: Arguments of the class, above its own.

    Raises:
        ValueError: If the folder is not whole, or names a class that is not imported.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    description = read_json(folder / DESCRIPTION)
    arguments = description.get("init_args") if isinstance(description, dict) else None
    if not isinstance(arguments, dict) or not isinstance(description.get("class_path"), str):
        raise ValueError(f"{folder}: {DESCRIPTION} names no model")
    try:
        state = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{folder}: {WEIGHTS} is no whole safetensors file ({error})") from None
    if asked := oversized({"init_args": arguments}, state):
        raise ValueError(f"{folder}: {DESCRIPTION} asks for {asked}")
    if kind is None:
        check_named({"class_path": description["class_path"]}, DESCRIPTION)
        module, _, name = description["class_path"].rpartition(".")
        kind = getattr(importlib.import_module(module), name)
    if not isinstance(kind, type) or not issubclass(kind, EncoderModule):
        raise ValueError(f"{folder}: {DESCRIPTION} names {description['class_path']}, no model")
    checkpoint = {
        "state_dict": state,
        "hyper_parameters": arguments,
        "pytorch-lightning_version": lightning.__version__,
    }
    with TemporaryDirectory() as directory:
        path = Path(directory, "model.ckpt")
        torch.save(checkpoint, path)
        try:
            return kind.load_from_checkpoint(path, **options).eval()
        except RuntimeError as error:
            said = reason(error)[:200]
            raise ValueError(f"{folder}: {WEIGHTS} does not fit the model ({said})") from error


def _lost(arguments: Any, name: str = "") -> str | None:
    """An argument that `hyperparameters.kept` could not keep, or that JSON has no number for."""
    if isinstance(arguments, float) and not math.isfinite(arguments):
        return f"{name} is {arguments}"
    if isinstance(arguments, list | tuple):
        entries = [(name, value) for value in arguments]
    elif isinstance(arguments, dict):
        if "not_kept" in arguments:
            return f"{name} is {arguments['not_kept']}"
        entries = [(str(key), value) for key, value in arguments.items()]
    else:
        return None
    return next(filter(None, (_lost(value, key) for key, value in entries)), None)
