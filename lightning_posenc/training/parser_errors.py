"""Turn a parser's nested complaint into one clear line: what, where, and what to do.

jsonargparse reports an error as an indented tree, a branch for each type that a value was tried
as. Its leaves, and the keys on the way to them, are what a person needs.
"""

from pathlib import Path

from lightning_posenc.compat import jsonargparse as wording
from lightning_posenc.compat.earlier_releases import instead, moved_option
from lightning_posenc.mistakes.one_line import did_you_mean
from lightning_posenc.training.option_names import file_hint, hint
from lightning_posenc.training.subclasses import subclasses

_VALUE = "="  # before a value that is of no kind that it may be
_COMMON = ("positional", "scaling", "task")
_WORDS = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "str": "text",
    "list": "a list", "dict": "a mapping", "collections.abc.Iterable": "a list",
}  # fmt: skip


def explain(message: str) -> str:
    """Say an error message in one line.

    Args:
        message: What the error said, of one line or many.
    """
    if found := wording.NOTHING.search(message):
        return f"a config file holds no options by name, but {found['found'].strip() or 'nothing'}"
    if found := wording.REQUIRED.search(message):
        return _say_required(found["command"])
    if found := wording.MISSPELT.search(message):
        return _unknown(found["key"], "see --help")
    if found := wording.NO_FILE.search(message):
        path = Path(found["path"])
        return f"--config {path}: the file does not exist: {file_hint(path)}"
    if (
        "\n" not in message
        and not wording.KEY.search(message)
        and not wording.UNKNOWN.search(message)
    ):
        return message.strip()
    keys: list[str] = []
    leaves: list[str] = []
    given = ""
    for line in message.splitlines():
        text = wording.CALLABLE.sub("", line.strip().removeprefix("- ").strip())
        if key := wording.KEY.match(text):
            if keys[-1:] != [key["key"]]:  # said once for each type that it may have
                keys.append(key["key"])
            text = text[key.end() :].strip()
        if text.startswith("Expected"):
            text = wording.NAMESPACE.sub("", text)
        if (value := wording.GIVEN.search(text)) and not given:
            given = value["nested"] or value["value"] or ""
            given = wording.NAMESPACE.sub("", f". Got value: {given}").removeprefix(". Got value: ")
        if text and not wording.NOISE.match(text) and text not in leaves:
            leaves.append(text)
    where = ".".join(keys)
    said = dict.fromkeys(_say(leaf, where) for leaf in _of_one_kind(leaves, where, given))
    return "; ".join(said) or message.splitlines()[0]


def _of_one_kind(leaves: list[str], where: str, given: str) -> list[str]:
    """The leaves, those on types as one: either a class is expected there, or a plain value."""
    types = [found for leaf in leaves if (found := wording.TYPE.match(leaf))]
    if not types:
        return leaves
    if where.rpartition(".")[2] in _kinds() and any(map(wording.CLASS.search, leaves)):
        return [leaf for leaf in leaves if not wording.TYPE.match(leaf)]
    rest = [
        leaf for leaf in leaves if not wording.TYPE.match(leaf) and not wording.CLASS.search(leaf)
    ]
    wanted = [
        _WORDS.get(t["kind"], t["kind"]) if t["kind"] else f"one of {t['choice']}" for t in types
    ]
    value = next((t["value"] for t in types if t["value"]), given)
    return [f"{_VALUE}{value}: must be {' or '.join(dict.fromkeys(wanted))}", *rest]


def _unknown(option: str, otherwise: str, owner: str = "") -> str:
    if moved := _moved(option):
        return moved
    last = option.rpartition(".")[0].rpartition(".")[2]
    kinds = [kind for kind in _classes(last) if not owner or kind.__name__ == owner]
    of = f" of {owner}" if owner else ""
    return f"unknown option {option}{of}: {hint(option, kinds, otherwise)}"


# Classes of other packages that people know by their short names.
_ELSEWHERE = {"Lion": "pytorch_optimizer.Lion (pip install 'lightning_posenc[optimizers]')"}


def _say(leaf: str, where: str) -> str:
    if leaf.startswith(_VALUE):
        return f"{where}={leaf.removeprefix(_VALUE)}"
    if found := wording.DENIED.search(leaf):
        return f"{where}={found['name']}: not what is expected there, and it could run anything"
    if found := wording.CLASS.search(leaf):
        if (advice := instead(found["name"])) is not None:
            return f"{where}={found['name']}: {advice}"
        if found["name"] in _ELSEWHERE:
            return f"{where}={found['name']}: give {_ELSEWHERE[found['name']]}"
        hint = did_you_mean(found["name"], _class_names(where), "check the spelling", cutoff=0.5)
        return (
            f"{where}={found['name']}: no such class: {hint} "
            "(a class of your own: its dotted path, my_module.MyClass)"
        )
    if found := wording.OPTION.search(leaf):
        name = found["name"].rpartition(".")[2]
        return _unknown(f"{where}.{found['key']}", f"see --{where}.help={name}", name)
    if found := wording.MODULE.search(leaf):
        given = f"={found['name']}" if found["name"] else ""
        return f"{where}{given}: {found['why']}: it must be importable from here"
    if found := wording.REFUSED.search(leaf):
        return _unknown(f"{where}.{found['key']}", f"see --{where}.help")
    if found := wording.UNKNOWN.search(leaf):
        names = [arg.lstrip("-").split("=")[0] for arg in found["args"].split()]
        if len(names) == 1:
            return _unknown(".".join(filter(None, [where, *names])), "see --help")
        return f"unknown option {'.'.join(filter(None, [where, ' '.join(names)]))}: see --help"
    if found := wording.NOT_OF_GROUP.search(leaf):
        key = ".".join(filter(None, [where, found["group"], found["key"]]))
        return _unknown(key, "see --help")
    if found := wording.UNEXPECTED.search(leaf):
        return _unknown(".".join(filter(None, [where, found["key"]])), "see --help")
    return f"{where}: {leaf}" if where else leaf


def _moved(key: str) -> str | None:
    """Where an option of the encoder went, if that is what the key names."""
    parts = key.split(".")
    if len(parts) < 2 or parts[-2] != "encoder" or not (said := moved_option(parts[-1])):
        return None
    return f"{key}: {said}"


def _say_required(command: str) -> str:
    if command == "fit":
        return (
            "fit wants to know what to train on what: give --config FILE, such as "
            "configs/quickstart.yaml, or --model=CLASS and --data=CLASS"
        )
    return (
        f"{command} wants a checkpoint: give --ckpt_path RUN, a run's directory or one of its "
        ".ckpt files"
    )


def _class_names(key: str) -> list[str]:
    """Names of the classes that a config can name at a key, or of all where it is no known one."""
    last = key.rpartition(".")[2]
    known = last if last in _kinds() else ""
    return sorted({kind.__name__ for kind in _classes(known) if not kind.__name__.startswith("_")})


def _classes(key: str) -> list[type]:
    """The classes that a config can name at the last part of a key, or of the commonest kinds."""
    kinds = _kinds()
    classes = [kinds[key]] if key in kinds else [kinds[each] for each in _COMMON]
    return [each for kind in classes for each in (kind, *subclasses(kind))]


def _kinds() -> dict[str, type]:
    """What a config can name, by the last part of the key."""
    import lightning
    import torch
    from lightning.pytorch.loggers import Logger

    # Whoever asks has parsed a config, so that modules, data and callbacks are imported too.
    from lightning_posenc import masks, positions, tasks
    from lightning_posenc.data import Lengths
    from lightning_posenc.model import FeedForward, Inputs, Kernel, Mixer, Residual, Router
    from lightning_posenc.positional import PositionalEncoding
    from lightning_posenc.positional.rotary.scaling import Scaling

    return {
        "model": lightning.LightningModule,
        "data": lightning.LightningDataModule,
        "callbacks": lightning.Callback,
        "logger": Logger,
        "task": tasks.Task,
        "positions": positions.Positions,
        "positional": PositionalEncoding,
        "scaling": Scaling,
        "mask": masks.Mask,
        "kernel": Kernel,
        "mixer": Mixer,
        "feed_forward": FeedForward,
        "router": Router,
        "inputs": Inputs,
        "residual": Residual,
        "train_length": Lengths,
        "growth": Lengths,
        "optimizer": torch.optim.Optimizer,
        "schedule": torch.optim.lr_scheduler.LRScheduler,
    }
