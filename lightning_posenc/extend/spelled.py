"""Methods as a person types them: `yarn`, or with arguments `yarn(beta_fast=16)`."""

import ast
import inspect
from collections.abc import Iterable
from typing import NamedTuple

from lightning_posenc.mistakes.one_line import did_you_mean
from lightning_posenc.pretrained.methods import METHODS
from lightning_posenc.pretrained.methods.base import Method


class Spelled(NamedTuple):
    """A method.

    Args:
        name: As it was typed.
        method: What that makes.
    """

    name: str
    method: Method


def spelled(names: Iterable[str]) -> list[Spelled]:
    """Make methods of what was typed.

    Raises:
        ValueError: If one is unknown, has wrong arguments, or is there twice.
    """
    found = [Spelled(name, _made(name)) for name in names]
    for i, each in enumerate(found):
        if each.name in [other.name for other in found[:i]]:
            raise ValueError(f"--methods: {each.name} is there twice")
    return found


def split(said: str) -> list[str]:
    """What commas divide, those between parentheses left alone."""
    parts, depth = [""], 0
    for character in said:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def _made(typed: str) -> Method:
    name, opened, _ = typed.partition("(")
    known = {kind.name: kind for kind in METHODS}
    if name not in known:
        hint = did_you_mean(name, known, f"choose from {', '.join(known)}")
        raise ValueError(f"--methods: no method {name!r}: {hint}")
    kind = known[name]
    arguments = _arguments(typed) if opened else {}
    allowed = list(inspect.signature(kind).parameters)
    for each in arguments:
        if each not in allowed:
            has = f"it has {', '.join(allowed)}" if allowed else "it has none"
            raise ValueError(f"--methods {typed}: {name} has no argument {each!r}: {has}")
    try:
        return kind(**arguments)
    except ValueError as error:
        raise ValueError(f"--methods {typed}: {error}") from None


def _arguments(typed: str) -> dict[str, object]:
    """The keywords of a call; values are literals, and nothing is evaluated.

    Method names have hyphens, so that only what stands in the parentheses is parsed.
    """
    _, _, rest = typed.partition("(")
    try:
        call = ast.parse(f"_({rest}", mode="eval").body
        if not isinstance(call, ast.Call) or call.args or not isinstance(call.func, ast.Name):
            raise ValueError
        return {_keyword(each): ast.literal_eval(each.value) for each in call.keywords}
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise ValueError(f"--methods {typed}: write NAME(argument=value)") from None


def _keyword(keyword: ast.keyword) -> str:
    if keyword.arg is None:
        raise ValueError
    return keyword.arg


def chosen_methods(methods: str | None, method: str | None) -> tuple[list[Spelled], Spelled | None]:
    """The rows of a study, the unchanged model first, with which others are compared.

    Args:
        methods: What was typed behind --methods; None for all that there are.
        method: What was typed behind --method, which is among them then.

    Raises:
        ValueError: As `spelled` does.
    """
    names = [kind.name for kind in METHODS] if methods is None else split(methods)
    if not names:
        raise ValueError("--methods names none: leave it out for all that the model can take")
    if method is not None and method not in names:
        names.append(method)
    first = METHODS[0].name
    found = spelled([first, *(name for name in names if name != first)])
    return found, next((each for each in found if each.name == method), None)
