"""Turn a parser's nested complaint into one clear line: what, where, and what to do.

jsonargparse reports an error as an indented tree, a branch for each type that a value was tried
as. Its leaves, and the keys on the way to them, are what a person needs.
"""

import re

from lightning_posenc.mistakes import did_you_mean

_KEY = re.compile(r'Parser key "(?P<key>[^"]+)":')
_NOISE = re.compile(
    r"Given value|Does not validate|Subtypes:|Errors:|Problem with given class_path"
    r"|Expected a <class 'NoneType'>|Expected a path but|usage:|tip:"
)
_CLASS = re.compile(r"Expected a dot import path string: (?P<name>\S+)")
_OPTION = re.compile(r"Option '(?P<key>\w+)' is not accepted.*class_path='(?P<name>[\w.]+)'")
_MODULE = re.compile(
    r"expects a function or a callable class: (?P<why>.+?)\. Got value: (?P<name>.+)"
)
_DENIED = re.compile(r"Importing '(?P<name>[\w.]+)' is not allowed")
_UNKNOWN = re.compile(r"unrecognized arguments: (?P<args>.+)")
_UNEXPECTED = re.compile(r"[Kk]ey '?\"?(?P<key>[\w.]+)'?\"? is not expected")


def explain(message: str) -> str:
    """Say an error message in one line.

    Args:
        message: What the error said, of one line or many.
    """
    if "\n" not in message and not _KEY.search(message) and not _UNKNOWN.search(message):
        return message.strip()
    keys: list[str] = []
    leaves: list[str] = []
    for line in message.splitlines():
        text = line.strip().removeprefix("- ").strip()
        if key := _KEY.match(text):
            keys.append(key["key"])
            text = text[key.end() :].strip()
        if text and not _NOISE.match(text) and text not in leaves:
            leaves.append(text)
    where = ".".join(keys)
    return "; ".join(_say(leaf, where) for leaf in leaves) or message.splitlines()[0]


def _say(leaf: str, where: str) -> str:
    if found := _DENIED.search(leaf):
        return f"{where}={found['name']}: not what is expected there, and it could run anything"
    if found := _CLASS.search(leaf):
        hint = did_you_mean(found["name"], _class_names(), "check the spelling", cutoff=0.5)
        return (
            f"{where}={found['name']}: no such class: {hint} "
            "(a class of your own: its dotted path, my_module.MyClass)"
        )
    if found := _OPTION.search(leaf):
        name = found["name"].rpartition(".")[2]
        return f"unknown option {where}.{found['key']} of {name}: see --{where}.help={name}"
    if found := _MODULE.search(leaf):
        return f"{where}={found['name']}: {found['why']}: it must be importable from here"
    if found := _UNKNOWN.search(leaf):
        names = " ".join(arg.lstrip("-").split("=")[0] for arg in found["args"].split())
        return f"unknown option {'.'.join(filter(None, [where, names]))}: see --help"
    if found := _UNEXPECTED.search(leaf):
        return f"unknown key {'.'.join(filter(None, [where, found['key']]))}: see --help"
    return f"{where}: {leaf}" if where else leaf


def _class_names() -> list[str]:
    """Names of every class of this package that a config can name."""
    import torch

    from lightning_posenc import masks, positions, tasks
    from lightning_posenc.data import Lengths
    from lightning_posenc.model import FeedForward, Kernel, Residual
    from lightning_posenc.positional import PositionalEncoding
    from lightning_posenc.positional.scaling import Scaling

    classes: list[type] = [PositionalEncoding, Scaling, positions.Positions, masks.Mask, tasks.Task]
    classes += [Kernel, FeedForward, Residual, Lengths, torch.optim.Optimizer]
    for kind in classes:  # grows while it is walked: subclasses of subclasses
        classes += kind.__subclasses__()
    return sorted({kind.__name__ for kind in classes})
