"""A trial's command line, expanded as W&B's agent expands it."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_posenc import shipped
from lightning_posenc.runs import strict_json
from lightning_posenc.sweep.names import nearest

DEFAULT_COMMAND = ["${env}", "${interpreter}", "${program}", "${args}"]
MACROS = (
    "env", "interpreter", "program", "args", "args_no_hyphens", "args_no_boolean_flags",
    "args_no_equals", "args_append_hydra", "args_override_hydra", "args_json", "args_json_file",
)  # fmt: skip
PYTHON = "python"  # what an agent puts for ${interpreter}

_ENV = "/usr/bin/env"
_VARIABLE = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")


def check_macros(command: Sequence[str]) -> None:
    """Check that every macro of a command is one of W&B's; an agent drops others without a word.

    Raises:
        ValueError: On the first that is not.
    """
    for word in command:
        name = word[2:-1]
        if _is_macro(word) and not _VARIABLE.search(word) and name not in MACROS:
            raise ValueError(f"command: unknown macro {word}: {nearest(name, MACROS)}")


def expand(
    command: Sequence[str],
    program: str,
    parameters: Mapping[str, Any],
    json_file: Path,
    interpreter: str = PYTHON,
) -> list[str]:
    """Expand the macros of a command.

    Args:
        command: Words, some of them macros.
        program: For `${program}`.
        parameters: A trial's values by name, nested blocks as dictionaries.
        json_file: For `${args_json_file}`; it is not written here.
        interpreter: For `${interpreter}`.
    """
    flags = [f"{name}={value}" for name, value in parameters.items()]
    macros = {
        "env": [_ENV],
        "interpreter": [interpreter],
        "program": [program],
        "args": [f"--{flag}" for flag in flags],
        "args_no_hyphens": flags,
        "args_no_boolean_flags": [
            f"--{name}" if value is True else f"--{name}={value}"
            for name, value in parameters.items()
            if value is not False
        ],
        "args_no_equals": [
            word for name, value in parameters.items() for word in (f"--{name}", str(value))
        ],
        "args_append_hydra": [f"+{flag}" for flag in flags],
        "args_override_hydra": [f"++{flag}" for flag in flags],
        "args_json": [strict_json.text(parameters)],
        "args_json_file": [str(json_file)],
    }
    words: list[str] = []
    for word in command:
        # A variable that is not set leaves its own name, as with an agent.
        told = _VARIABLE.sub(lambda found: os.environ.get(found[1], found[1]), word)
        words += macros.get(told[2:-1], []) if _is_macro(told) else [told]
    return words


def own_fit(words: Sequence[str], interpreters: Sequence[str]) -> list[str] | None:
    """The arguments after `fit`, if a command is this package's own; None if it is another's.

    The shipped configs that it names are put by their paths, as the command line does it.

    Args:
        words: An expanded command.
        interpreters: Names of the running Python.
    """
    rest = list(words[1:] if words[:1] == [_ENV] else words)
    if rest[:1] and rest[0] in interpreters and rest[1:4] == ["-m", "lightning_posenc", "fit"]:
        return shipped.with_paths(rest[4:])
    return None


def _is_macro(word: str) -> bool:
    return word.startswith("${") and word.endswith("}")
