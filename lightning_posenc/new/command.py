"""The command `new`: write a class, its test and a config, which work as they are."""

import keyword
import re
from collections.abc import Sequence
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from string import Template

from lightning_posenc.mistakes.arguments import OneLineParser

KINDS = ("encoding", "task", "mixer", "feed_forward", "input", "sampler", "diagnostic")
_TEMPLATES = "lightning_posenc.new.templates"


def run(args: Sequence[str]) -> None:
    """Write three files into the working directory, and say what to do with them.

    Raises:
        ValueError: If the name is none of a class, is taken, or a file is there already; then
            nothing is written.
    """
    parser = OneLineParser(
        "new",
        description="Write a class to start from, its test and a config, into the working "
        "directory: NAME in name.py, test_name.py and name.yaml. All three work as they are.",
    )
    parser.add_argument("kind", choices=KINDS, help="what to write")
    parser.add_argument("name", metavar="NAME", help="of the class, as in RootBias")
    given = parser.parse_args(args)
    files = written(given.kind, given.name)
    make(files, Path.cwd())
    source, test, config = files
    print(
        f"wrote {source}, {test} and {config}; try: pytest {test}; "
        f"python -m lightning_posenc fit --config {config}"
    )


def written(kind: str, name: str) -> dict[str, str]:
    """The three files of a new class, their contents by their names.

    Args:
        kind: One of `KINDS`.
        name: Of the class.

    Raises:
        ValueError: If it is no name of a class, or one that its own file imports, or its module
            could not be imported, or would hide one that is there.
    """
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name) or keyword.iskeyword(name):
        raise ValueError(
            f"new: {name!r} is no class name: a capital, letters and digits, as in RootBias"
        )
    module = module_of(name)
    if keyword.iskeyword(module) or module == "conftest":
        means = "pytest" if module == "conftest" else "Python"
        raise ValueError(
            f"new: {module} means something else to {means}: choose another name, as in My{name}"
        )
    if find_spec(module) is not None and not Path(f"{module}.py").exists():
        raise ValueError(
            f"new: a module {module} is there already, which {module}.py would hide: choose "
            f"another name, as in My{name}"
        )
    if name in re.findall(r"\w+", _template(f"{kind}.py.txt")):
        raise ValueError(
            f"new: {module}.py needs {name} for something else: choose another name, as in My{name}"
        )
    names = {"name": name, "module": module}
    return {
        file: Template(_template(template)).substitute(names)
        for file, template in (
            (f"{module}.py", f"{kind}.py.txt"),
            (f"test_{module}.py", f"test_{kind}.py.txt"),
            (f"{module}.yaml", f"{kind}.yaml.txt"),
        )
    }


def module_of(name: str) -> str:
    """The module of a class: `RootBias` is in `root_bias`, `RoPE2D` in `ro_pe2_d`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def make(files: dict[str, str], folder: Path) -> None:
    """Write files that are not there yet, all or none.

    Args:
        files: Contents by name.
        folder: Where to.

    Raises:
        ValueError: If one is there, or cannot be written.
    """
    for name in files:
        if (folder / name).exists():
            raise ValueError(f"new: {name} is there already: choose another name, or move it away")
    made: list[Path] = []
    try:
        for name, text in files.items():
            with (folder / name).open("x", encoding="utf-8") as file:
                made.append(folder / name)
                file.write(text)
    except OSError as error:
        for path in made:
            path.unlink()
        raise ValueError(f"new: {name} cannot be written here: {error.strerror}") from error


def _template(name: str) -> str:
    return resources.files(_TEMPLATES).joinpath(name).read_text("utf-8")
