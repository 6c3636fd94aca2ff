"""The command `configs`: list the configs and sweeps that come along, print or save one."""

from collections.abc import Sequence
from pathlib import Path

from lightning_posenc import shipped
from lightning_posenc.mistakes.arguments import OneLineParser
from lightning_posenc.mistakes.one_line import did_you_mean

DESCRIPTION = """List the configs and sweeps that come with the package. With a name, print the
file; with --save, write it into a folder, to be changed. `fit --config NAME` and `sweep NAME` find
them by name."""


def run(args: Sequence[str]) -> None:
    """List them, or with the name of one print or save it.

    `configs`; `configs quickstart`; `configs quickstart --save .`.

    Raises:
        ValueError: On an unknown name.
        FileExistsError: Rather than to write over a file.
    """
    parser = OneLineParser("configs", description=DESCRIPTION)
    parser.add_argument("name", nargs="?", help="of a config or a sweep")
    parser.add_argument("--save", type=Path, metavar="DIR", help="write it there")
    given = parser.parse_args(args)
    if given.name is None:
        if given.save is not None:
            raise ValueError("configs: --save wants a name: give that of a config or a sweep")
        _list()
        return
    file = _found(given.name)
    if given.save is None:
        print(file.read_text("utf-8"), end="")
        return
    given.save.mkdir(parents=True, exist_ok=True)
    saved = given.save / file.name
    if saved.exists():
        raise ValueError(f"configs: {saved} exists: remove it, or give another folder")
    saved.write_text(file.read_text("utf-8"), "utf-8")
    print(saved)


def _found(name: str) -> Path:
    for kind in shipped.KINDS:
        if name in shipped.names(kind):
            return shipped.folder(kind) / f"{name}.yaml"
    known = [each for kind in shipped.KINDS for each in shipped.names(kind)]
    hint = did_you_mean(name, known, "the command without a name lists them")
    raise ValueError(f"configs: no config or sweep {name!r}: {hint}")


def _list() -> None:
    for kind, command in zip(shipped.KINDS, ("fit --config", "sweep"), strict=True):
        print(f"{kind} (python -m lightning_posenc {command} NAME):")
        files = [shipped.folder(kind) / f"{name}.yaml" for name in shipped.names(kind)]
        wide = max((len(file.stem) for file in files), default=0)
        for file in files:
            print(f"  {file.stem:<{wide}}  {shipped.what(file)}")
