"""Writes long texts that come with Python, for `extend` and `diagnose --hf`: no network.

    python benchmarks/extend_texts.py OUT

- OUT/topics.txt: the pages of Python's language reference that `help()` shows.
- OUT/docstrings.txt: what the modules, classes and functions of its standard library say of
  themselves, but for its tests.

Both as the Python that runs this has them: another version's differ.
"""

import argparse
import ast
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import python_data

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def topics() -> Iterator[str]:
    """Pages, by name."""
    from pydoc_data.topics import topics as pages

    yield from (pages[name] for name in sorted(pages))


def docstrings() -> Iterator[str]:
    """Docstrings, by module, as they stand in it."""
    for _, text in python_data.modules(Path(sysconfig.get_path("stdlib"))):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, DOCUMENTED) and (said := ast.get_docstring(node)):
                yield said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, parts in {"topics": topics(), "docstrings": docstrings()}.items():
        place = out / f"{name}.txt"
        place.write_text("\n\n".join(parts), "utf-8")
        print(f"{place}: {place.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
