"""A module's arguments as a checkpoint can keep them: plain, and made again from their names.

A class, or a class with some of its arguments bound, is kept as in a config:
{class_path: …, init_args: {…}}; an object by the arguments that made it, which it must still have
as attributes. So a checkpoint can be read without unpickling anything (`weights_only=True`).
"""

import importlib.util
import inspect
import re
import sys
from collections.abc import Mapping
from functools import partial
from types import FrameType
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lightning_posenc.compat.earlier_releases import of_today, today
from lightning_posenc.model.encoder import EncoderSpec

_CLASS, _ARGUMENTS, _OBJECT, _LOST = "class_path", "init_args", "object", "not_kept"
_INSTANTIATOR = "lightning.pytorch.cli.instantiate_module"  # what Lightning's command line notes
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_PLAIN = (type(None), bool, int, float, str)
_KINDS = (nn.Module, Optimizer, LRScheduler, EncoderSpec)

MADE = (
    "cross", "decoder", "decoder_positional", "decoder_positions", "encoder", "inputs", "lora",
    "positional", "positions", "optimizer", "schedule", "target_inputs", "transform",
)  # fmt: skip
"""The arguments of modules that are objects or make some."""


def kept(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as plain values; what cannot be told so is named, to be given again."""
    plain: dict[str, Any] = {}
    for name, value in arguments.items():
        try:
            plain[name] = _described(value, name in MADE)
        except _NotPlain:
            plain[name] = {_LOST: " ".join(repr(value).split())[:100]}
    return plain


def rebuilt(name: str, value: Any) -> Any:
    """An argument again; whatever was not kept as a description is the argument itself.

    Only classes that are imported already are made: of this package, of torch, or of the program.

    Args:
        name: Of the argument.
        value: As `kept`, or as it is.

    Raises:
        ValueError: If it was not kept, or names no such class.
    """
    if isinstance(value, list):
        return [rebuilt(name, each) for each in value]
    if not isinstance(value, dict):
        return value
    if _LOST in value:
        raise ValueError(
            f"{name} was {value[_LOST]}, which a checkpoint cannot keep: give it again, "
            f"load_from_checkpoint(path, {name}=…)"
        )
    if _CLASS not in value:
        return {key: rebuilt(name, each) for key, each in value.items()}
    value = of_today({name: value})[name]
    kind = _imported(name, str(value[_CLASS]))
    arguments = {key: rebuilt(name, each) for key, each in value.get(_ARGUMENTS, {}).items()}
    if value.get(_OBJECT):
        return kind(**arguments)
    return partial(kind, **arguments) if arguments else kind


def check_named(arguments: Any, name: str = "hyper_parameters") -> None:
    """Refuse what a checkpoint names, if making it would import or call something unknown.

    The command line's checkpoints have their classes made by jsonargparse, which would import them.

    Args:
        arguments: As the checkpoint has them.
        name: What they are of.

    Raises:
        ValueError: On anything but classes that are imported already, as `rebuilt` has it.
    """
    if isinstance(arguments, list | tuple):
        for each in arguments:
            check_named(each, name)
    elif isinstance(arguments, Mapping):
        for key, value in arguments.items():
            if key in (_CLASS, "_class_path"):
                _imported(name, str(value))
            elif key == "_instantiator":
                if value != _INSTANTIATOR:
                    raise ValueError(f"{name}: the checkpoint is to be made by {value}: refused")
            else:
                check_named(value, str(key))
    elif isinstance(arguments, str) and _DOTTED.fullmatch(arguments):
        package = arguments.partition(".")[0]
        if package not in sys.modules and importlib.util.find_spec(package) is not None:
            _imported(name, arguments)


def given_names(module: object, frame: FrameType | None) -> set[str]:
    """The arguments that the whole module was made with: those of its outermost constructor.

    Args:
        module: That is being made.
        frame: Of one of its constructors.
    """
    names: set[str] = set()
    while frame is not None and frame.f_code.co_name == "__init__":
        arguments = inspect.getargvalues(frame)
        if not arguments.args or arguments.locals[arguments.args[0]] is not module:
            break
        kwargs = arguments.locals[arguments.keywords] if arguments.keywords else {}
        names = {*arguments.args[1:], *kwargs}
        frame = frame.f_back
    return names


class _NotPlain(Exception):
    """Nothing plain says what it is."""


def _described(value: Any, as_made: bool = True) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, list | tuple):
        return [_described(each, as_made) for each in value]
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise _NotPlain
        return {key: _described(each, as_made) for key, each in value.items()}
    if not as_made:
        raise _NotPlain
    if isinstance(value, type):
        return {_CLASS: _path(value)}
    if isinstance(value, partial):
        if value.args or not isinstance(value.func, type):
            raise _NotPlain
        return {_CLASS: _path(value.func), _ARGUMENTS: _described(value.keywords)}
    arguments = _arguments(value)
    return {_CLASS: _path(type(value)), _ARGUMENTS: _described(arguments), _OBJECT: True}


def _arguments(value: Any) -> dict[str, Any]:
    """The arguments that make such an object again."""
    if isinstance(value, EncoderSpec):
        return value.arguments()
    names = [
        name
        for name, parameter in inspect.signature(type(value)).parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    try:
        arguments = {name: getattr(value, name) for name in names}
        again = type(value)(**arguments)
        same = all(getattr(again, name) == arguments[name] for name in names)
    except Exception:
        raise _NotPlain from None
    if not same:
        raise _NotPlain
    return arguments


def _path(kind: type) -> str:
    path = f"{kind.__module__}.{kind.__qualname__}"
    if "<locals>" in path or not _allowed(kind):
        raise _NotPlain
    return path


def _allowed(kind: Any) -> bool:
    if not isinstance(kind, type):
        return False
    return issubclass(kind, _KINDS) or kind.__module__.partition(".")[0] == "lightning_posenc"


def _imported(name: str, path: str) -> type:
    module = path = today(path)
    attributes: list[str] = []
    while module and module not in sys.modules:
        module, _, attribute = module.rpartition(".")
        attributes.insert(0, attribute)
    found: Any = sys.modules.get(module)
    for attribute in attributes:
        found = getattr(found, attribute, None)
    if not _allowed(found):
        raise ValueError(
            f"{name}: the checkpoint names {path}, which is no class of this package, of torch or "
            f"of a module that is imported: import it first, or give {name} again"
        )
    return found
