"""What a user has given: arguments, and what the config files among them hold."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lightning_posenc.runs import untrusted

_DEEPEST = 4  # config files that name config files
_FLAGS = ("-c", "--config")


def value_of(flag: str, args: Sequence[str]) -> str | None:
    """The value of an option on the command line: the last one, which counts."""
    found = None
    for i, arg in enumerate(args):
        if arg == flag and i + 1 < len(args):
            found = args[i + 1]
        elif arg.startswith(f"{flag}="):
            found = arg.split("=", 1)[1]
    return found


def with_value(flag: str, value: str, args: Sequence[str]) -> list[str]:
    """The arguments with another value of an option that is among them."""
    args = list(args)
    for i, arg in enumerate(args):
        if arg == flag:
            args[i + 1] = value
        elif arg.startswith(f"{flag}="):
            args[i] = f"{flag}={value}"
    return args


def without(flag: str, args: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments without an option that may be repeated, and its values."""
    rest: list[str] = []
    values: list[str] = []
    words = iter(args)
    for word in words:
        if word == flag:
            values.append(next(words, ""))
        elif word.startswith(f"{flag}="):
            values.append(word.split("=", 1)[1])
        else:
            rest.append(word)
    return rest, values


def with_default_class(name: str, default: str, args: Sequence[str]) -> list[str]:
    """The arguments with the class of a part of the model, where only its options are given.

    jsonargparse knows the default's options by itself, but not where the type is a union.

    Args:
        name: Of the model's argument, such as encoder.mixer.
        default: The class that it has by default.
        args: The arguments.
    """
    flag = f"--model.{name}"
    of_it = [i for i, arg in enumerate(args) if arg.startswith(f"{flag}.")]
    named = any(arg == flag or arg.startswith(f"{flag}=") for arg in args)
    for content in _configs(args):
        named = named or _below(content, ["model", *name.split(".")]) is not None
    if named or not of_it or args[of_it[0]].startswith(f"{flag}.help"):
        return list(args)
    return [*args[: of_it[0]], f"{flag}={default}", *args[of_it[0] :]]


def _below(content: Any, keys: Sequence[str]) -> Any:
    """What stands under a key of a config file, `init_args` left out; None if nothing does."""
    for key in keys:
        content = content.get("init_args", content) if isinstance(content, dict) else None
        content = content.get(key) if isinstance(content, dict) else None
    return content


def after_configs(args: Sequence[str]) -> int:
    """Where in the arguments of a subcommand the last config file has been named; 1 without any."""
    ends = [i + (arg in _FLAGS) for i, arg in enumerate(args) if _names_config(arg)]
    return 1 + max(ends, default=0)


def in_files(key: str, args: Sequence[str]) -> Any:
    """The value of a key of the config files, the last file's; None without one.

    Raises:
        ValueError: If a file is not YAML.
    """
    found = None
    for content in _configs(args):
        if isinstance(content, dict) and content.get(key) is not None:
            found = content[key]
    return found


def values(args: Sequence[str]) -> Iterator[str]:
    """Every value on the command line and in config files, down to those that these name.

    Raises:
        ValueError: If a file is not YAML.
    """
    for content in _configs(args):
        yield from _leaves(content, _DEEPEST)
    for arg in args[1:]:
        if not _names_config(arg) and (value := arg.partition("=")[2] or arg):
            yield from _leaves(_loaded(value), _DEEPEST)


def _configs(args: Sequence[str]) -> Iterator[Any]:
    for i, arg in enumerate(args):
        if _names_config(arg):
            value = arg.partition("=")[2] if "=" in arg else "".join(args[i + 1 : i + 2])
            path = Path(value)
            # One that is not there is for the parser to complain of; it may be YAML itself.
            yield untrusted.read_yaml(path) if _is_file(path) else _loaded(value)


def _leaves(content: Any, deeper: int) -> Iterator[str]:
    if isinstance(content, dict):
        for value in content.values():
            yield from _leaves(value, deeper)
    elif isinstance(content, list):
        for value in content:
            yield from _leaves(value, deeper)
    elif isinstance(content, str):
        path = Path(content)
        if deeper and path.suffix in (".yaml", ".yml") and _is_file(path):
            try:
                below = untrusted.read_yaml(path)
            except ValueError:  # no config
                return
            yield from _leaves(below, deeper - 1)
        yield content


def _loaded(value: str) -> Any:
    try:
        return untrusted.load_yaml(value, "argument")
    except ValueError:
        return value


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long for a name, or with a null byte
        return False


def _names_config(arg: str) -> bool:
    return arg in _FLAGS or arg.startswith("--config=")
