"""What a misspelt option or config file of the training commands may have been meant to be."""

from collections.abc import Iterable
from pathlib import Path

from lightning_posenc import shipped
from lightning_posenc.data.remembered import arguments_of
from lightning_posenc.mistakes.one_line import did_you_mean

_OWN = (
    "config", "seed_everything", "trainer", "model", "data", "run_dir", "name", "trust",
    "test_after_fit", "test_best", "warm_start", "ckpt_path", "verbose",
)  # fmt: skip


def hint(option: str, kinds: Iterable[type], otherwise: str) -> str:
    """Which option is like a wrong one.

    Args:
        option: Its dotted name.
        kinds: Of the classes that may have an option of its last part.
        otherwise: What to do where none is like it.
    """
    within, _, name = option.rpartition(".")
    first = option.partition(".")[0]
    if within and first not in _OWN:
        return did_you_mean(first, _OWN, otherwise)
    if not within:
        return did_you_mean(option, _OWN, otherwise)
    found = {kind.__name__: arguments_of(kind) for kind in _kinds(within, kinds)}
    if owners := sorted(kind for kind, arguments in found.items() if name in arguments):
        return f"it is {' or '.join(owners)} that has it, not the class that is chosen here"
    near = did_you_mean(name, sorted(set().union(*found.values())), "")
    return near.replace("did you mean ", f"did you mean {within}.") or otherwise


def file_hint(path: Path) -> str:
    """Which config file is like one that does not exist."""
    folder = path.parent if path.parent.is_dir() else Path()
    found = [each for place in {folder, Path("configs")} if place.is_dir()
             for each in sorted(place.glob("*.y*ml"))]  # fmt: skip
    by_name = {name: name for name in shipped.names("configs")}
    by_name |= {each.name: str(each) for each in found}
    near = did_you_mean(path.name, by_name, "")
    for name, where in by_name.items():
        if near == f"did you mean {name}?":
            return f"did you mean {where}?"
    return "check the path"


def _kinds(within: str, kinds: Iterable[type]) -> Iterable[type]:
    import lightning

    from lightning_posenc.model.encoder import Encoder, EncoderSpec

    if within == "trainer":
        return [lightning.Trainer]
    return [EncoderSpec, Encoder] if within.endswith("encoder") else kinds
