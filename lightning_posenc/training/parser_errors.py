"""Turn a parser's nested complaint into one clear line: what, where, and what to do.

jsonargparse reports an error as an indented tree, a branch for each type that a value was tried
as. Its leaves, and the keys on the way to them, are what a person needs.
"""

from lightning_posenc.compat import jsonargparse as wording
from lightning_posenc.compat.earlier_releases import instead, moved_option
from lightning_posenc.mistakes.one_line import did_you_mean


def explain(message: str) -> str:
    """Say an error message in one line.

    Args:
        message: What the error said, of one line or many.
    """
    if found := wording.NOTHING.search(message):
        return f"a config file holds no options by name, but {found['found'].strip() or 'nothing'}"
    if found := wording.REQUIRED.search(message):
        return _say_required(found["command"])
    if (
        "\n" not in message
        and not wording.KEY.search(message)
        and not wording.UNKNOWN.search(message)
    ):
        return message.strip()
    keys: list[str] = []
    leaves: list[str] = []
    for line in message.splitlines():
        text = line.strip().removeprefix("- ").strip()
        if key := wording.KEY.match(text):
            keys.append(key["key"])
            text = text[key.end() :].strip()
        if text and not wording.NOISE.match(text) and text not in leaves:
            leaves.append(text)
    where = ".".join(keys)
    return "; ".join(_say(leaf, where) for leaf in leaves) or message.splitlines()[0]


def _say(leaf: str, where: str) -> str:
    if found := wording.DENIED.search(leaf):
        return f"{where}={found['name']}: not what is expected there, and it could run anything"
    if found := wording.CLASS.search(leaf):
        if (advice := instead(found["name"])) is not None:
            return f"{where}={found['name']}: {advice}"
        hint = did_you_mean(found["name"], _class_names(where), "check the spelling", cutoff=0.5)
        return (
            f"{where}={found['name']}: no such class: {hint} "
            "(a class of your own: its dotted path, my_module.MyClass)"
        )
    if found := wording.OPTION.search(leaf):
        name = found["name"].rpartition(".")[2]
        return f"unknown option {where}.{found['key']} of {name}: see --{where}.help={name}"
    if found := wording.MODULE.search(leaf):
        given = f"={found['name']}" if found["name"] else ""
        return f"{where}{given}: {found['why']}: it must be importable from here"
    if found := wording.REFUSED.search(leaf):
        return f"unknown option {where}.{found['key']}: see --{where}.help"
    if found := wording.UNKNOWN.search(leaf):
        names = " ".join(arg.lstrip("-").split("=")[0] for arg in found["args"].split())
        if moved := _moved(".".join(filter(None, [where, names]))):
            return moved
        return f"unknown option {'.'.join(filter(None, [where, names]))}: see --help"
    if found := wording.NOT_OF_GROUP.search(leaf):
        key = ".".join(filter(None, [where, found["group"], found["key"]]))
        return _moved(key) or f"unknown key {key}: see --help"
    if found := wording.UNEXPECTED.search(leaf):
        if moved := _moved(".".join(filter(None, [where, found["key"]]))):
            return moved
        return f"unknown key {'.'.join(filter(None, [where, found['key']]))}: see --help"
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
    import lightning
    import torch
    from lightning.pytorch.loggers import Logger

    # Whoever asks has parsed a config, so that modules, data and callbacks are imported too.
    from lightning_posenc import masks, positions, tasks
    from lightning_posenc.data import Lengths
    from lightning_posenc.model import FeedForward, Kernel, Mixer, Residual
    from lightning_posenc.positional import PositionalEncoding
    from lightning_posenc.positional.rotary.scaling import Scaling

    kinds: dict[str, type] = {
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
        "residual": Residual,
        "train_length": Lengths,
        "optimizer": torch.optim.Optimizer,
        "schedule": torch.optim.lr_scheduler.LRScheduler,
    }
    last = key.rpartition(".")[2]
    classes = [kinds[last]] if last in kinds else [PositionalEncoding, Scaling, tasks.Task]
    for kind in classes:  # grows while it is walked: subclasses of subclasses
        classes += kind.__subclasses__()
    return sorted({kind.__name__ for kind in classes if not kind.__name__.startswith("_")})
