"""A model and its data from a checkpoint of a program, which holds no config of ours."""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import lightning_posenc.data  # noqa: F401 (so that all kinds of it are known)
from lightning_posenc.data.meaning import FORMAT
from lightning_posenc.data.remembered import RememberedData
from lightning_posenc.modules.scored import MODULE, ScoredModule
from lightning_posenc.training.checkpoint_config import CONFIG_KEY
from lightning_posenc.training.subclasses import subclasses
from lightning_posenc.training.trust import TRUSTED


def is_of_a_program(contents: Mapping[str, Any]) -> bool:
    """Whether a checkpoint was written by a Trainer of a program, and says its module's class."""
    return CONFIG_KEY not in contents and isinstance(contents.get(MODULE), str)


def of_a_program(
    path: Path, contents: Mapping[str, Any], trust: Sequence[str]
) -> tuple[ScoredModule, RememberedData | None]:
    """The module and the data of a checkpoint.

    Args:
        path: The checkpoint.
        contents: Its contents.
        trust: Modules whose classes it may name.

    Raises:
        ValueError: If it names a class that is not trusted, or none of ours.
    """
    kind = _class(path, contents[MODULE], trust)
    module = kind.load_from_checkpoint(path, map_location="cpu", weights_only=True)
    names = [k for k, v in contents.items() if isinstance(v, dict) and FORMAT in v]
    if not names:
        return module, None
    of_data = _known_data(names[0])
    if of_data is None:
        raise ValueError(
            f"{path} was trained on data of class {names[0]}, which is not imported: import it, or "
            "make Predictor(module, data) yourself"
        )
    return module, of_data.load_from_checkpoint(path)


def _class(path: Path, name: str, trust: Sequence[str]) -> type[ScoredModule]:
    module, _, qualified = name.rpartition(".")
    trusted = [*TRUSTED, *trust]
    if not any(module == each or module.startswith(f"{each}.") for each in trusted):
        raise ValueError(
            f"{path} is of {name}, which belongs to none of {', '.join(trusted)}: if you know that "
            f"code, load(…, trust=[{module.partition('.')[0]!r}])"
        )
    try:
        kind = getattr(sys.modules.get(module) or import_module(module), qualified)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{path} is of {name}, which cannot be imported ({error})") from error
    if not isinstance(kind, type) or not issubclass(kind, ScoredModule):
        raise ValueError(f"{path} is of {name}, which is no module of lightning_posenc")
    return kind


def _known_data(name: str) -> type[RememberedData] | None:
    """A class of a program's own data, if it has been imported."""
    kinds = (RememberedData, *subclasses(RememberedData))
    return next((kind for kind in kinds if kind.__qualname__ == name), None)
