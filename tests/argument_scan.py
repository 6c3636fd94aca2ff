"""Absurd values for every argument of every public class, and what becomes of them.

`python -m tests.argument_scan` counts the outcomes.
"""

import importlib
import inspect
import math
import pkgutil
import traceback
import types
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

import lightning_posenc
from lightning_posenc.inference.predictor import Predictor
from lightning_posenc.model import (
    Attention,
    Block,
    Decoder,
    Encoder,
    EncoderDecoder,
    EncoderSpec,
)
from lightning_posenc.modules import EncoderModule, GroupWarmup, SequenceClassifier
from tests.argument_uses import DIMS, GIVEN, texts, used

ROOT = Path(lightning_posenc.__file__).parent

NO_INT = [-1, 0, 1, 10**10, 10**18, 1.5, math.nan, math.inf, "3", [], True]
NO_FLOAT = [-1.0, 0.0, 1.0, 1e-30, -1e30, 1e30, math.nan, math.inf, -math.inf, "3", [], True]
NO_NAME = ["nonsense", 3]
NO_LIST = ["ab", 3, [], ["a"], [None]]


ALSO = {"train_length": "of length", "eval_lengths": "of length"}  # as a task says it


class Subject(NamedTuple):
    """A public class or function, what it is given where it has no default, and how it is used."""

    name: str
    call: Callable[..., Any]
    given: dict[str, Any]
    use: Callable[[Any], Any]


class Outcome(NamedTuple):
    """What became of one value: `kind` is refused, works, or what is wrong with it."""

    subject: str
    argument: str
    value: Any
    kind: str
    said: str = ""

    @property
    def is_right(self) -> bool:
        return self.kind in ("refused", "works")


def public() -> Iterator[tuple[str, Any]]:
    """Every class and function that a package of ours exports, and those of a few modules."""
    seen = set()
    for info in pkgutil.walk_packages([str(ROOT)], "lightning_posenc."):
        single = info.name in LIBRARY
        if not (info.ispkg or single):
            continue
        module = importlib.import_module(info.name)
        own = [name for name, value in vars(module).items()
               if getattr(value, "__module__", "") == info.name]  # fmt: skip
        for name in own if single else getattr(module, "__all__", ()):
            value = getattr(module, name)
            if callable(value) and not name.startswith("_") and id(value) not in seen:
                seen.add(id(value))
                yield name, value


LIBRARY = {"lightning_posenc.runs.loggers", "lightning_posenc.dims"}


# By a forward, & and | of masks, generate, judge.
MADE_FOR_YOU = {"Visibility", "Both", "Either", "Draws", "Case"}


COMMANDS = ("api", "catalogue", "diagnose", "report", "sweep")  # they check what a person types


def subjects() -> list[Subject]:
    """All public classes that are no records, abstract or exceptions, and what measures."""
    files = texts()
    found = []
    for name, value in public():
        if not inspect.isclass(value) or inspect.isabstract(value):
            continue
        if issubclass(value, tuple | BaseException) or not inspect.signature(value).parameters:
            continue
        if value.__module__.split(".")[1] in COMMANDS or name in MADE_FOR_YOU:
            continue
        given = {
            parameter.name: GIVEN[parameter.name]
            for parameter in inspect.signature(value).parameters.values()
            if parameter.default is parameter.empty and parameter.name in GIVEN
        }
        if name in files:
            given["path"] = files[name]
        if issubclass(value, EncoderModule):
            given["vocab_size"] = GIVEN["vocab_size"]
        if issubclass(value, EncoderDecoder):
            given["encoder"] = Encoder(DIMS)
            given["decoder"] = Decoder(DIMS)
        if issubclass(value, Predictor):
            given["module"] = SequenceClassifier(EncoderSpec(32, 4, 2), 16, 4)
        if issubclass(value, Block):
            given["mixer"] = Attention(DIMS, 0)
        if issubclass(value, LambdaLR):
            given["optimizer"] = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        if issubclass(value, GroupWarmup):
            optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
            optimizer.param_groups[0]["name"] = "positional"
            given["schedule"] = LambdaLR(optimizer, lambda step: 1.0)
        found.append(Subject(name, value, given, partial(used, value)))
    return found


def probes(hint: Any) -> list[Any]:
    """Values that a parameter so annotated must refuse, or serve."""
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    values: list[Any] = []
    for option in options:
        origin = get_origin(option) or option
        if option is int:
            values += NO_INT
        elif option is float:
            values += NO_FLOAT
        elif option is str:
            values += [3]
        elif origin is Literal:
            values += NO_NAME
        elif inspect.isclass(origin) and issubclass(origin, Sequence):
            member = (get_args(option) or (None,))[0]
            values += [*NO_LIST, *([each] for each in _members(member))]
        elif inspect.isclass(origin) and issubclass(origin, Mapping):
            values += [*NO_LIST, {}, {-1: 1.0}, {4: math.nan}, {4: -1.0}, {4: math.inf}, {"a": 1},
                       {10**18: 1.0}, {4: 1e30}]  # fmt: skip
        elif option not in (bool, type(None), Any):
            values += NO_NAME
    if type(None) not in options and hint not in (bool, Any):
        values.append(None)
    return values


def _members(hint: Any) -> list[Any]:
    if get_origin(hint) and get_origin(hint) is not Callable and hint is not Any:
        return [[0], [0, -1], [0, 10**18], [0, math.nan]]
    return NO_INT if hint is int else NO_FLOAT if hint is float else []


def scan(subject: Subject) -> Iterator[Outcome]:
    """Try every probe at every argument, one at a time."""
    target = subject.call.__init__ if inspect.isclass(subject.call) else subject.call
    hints = get_type_hints(target)
    for parameter in inspect.signature(subject.call).parameters.values():
        hint = hints.get(parameter.name, Any)
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if hint is Tensor or Tensor in get_args(hint):  # the door's own tests have those
            continue
        for value in probes(hint):
            kind, said = outcome(subject, {**subject.given, parameter.name: value}, parameter.name)
            yield Outcome(subject.name, parameter.name, value, kind, said)


def outcome(subject: Subject, arguments: dict[str, Any], name: str) -> tuple[str, str]:
    """What becomes of the arguments, of which one by that name is suspect."""
    torch.manual_seed(0)
    try:
        result = subject.use(partial(subject.call, **arguments))
    except (ValueError, TypeError) as error:
        return _refusal(error, name), f"{type(error).__name__}: {error}"
    except Exception as error:
        return "raw error", f"{type(error).__name__}: {error}"
    return ("works", "") if _is_finite(result) else ("not finite", "")


def _refusal(error: Exception, name: str) -> str:
    said = str(error)
    raised_in = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    if not raised_in.is_relative_to(ROOT):
        return "raw error"
    # A built-in that fails in a line of ours is an error of nobody's.
    line = traceback.extract_tb(error.__traceback__)[-1].line or ""
    if not line.startswith("raise "):
        return "raw error"
    if "\n" in said:
        return "many lines"
    return "refused" if name in said or ALSO.get(name, name) in said else "unnamed"


def _is_finite(result: Any) -> bool:
    if isinstance(result, Tensor):
        return not result.is_complex() and bool(result.isfinite().all())
    if isinstance(result, int | float):
        return math.isfinite(result)
    if isinstance(result, complex):
        return False
    if isinstance(result, Mapping):
        return all(map(_is_finite, result.values()))
    if isinstance(result, Sequence) and not isinstance(result, str):
        return all(map(_is_finite, result))
    return True


def _main() -> None:
    outcomes = [each for subject in subjects() for each in scan(subject)]
    print(len(outcomes), Counter(each.kind for each in outcomes))
    for each in outcomes:
        if not each.is_right:
            print(each.kind, f"{each.subject}({each.argument}={each.value!r})", each.said[:110],
                  sep="  ")  # fmt: skip


if __name__ == "__main__":
    _main()
