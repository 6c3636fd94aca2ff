"""What a class says of itself, also where Python left the docstrings out."""

import ast
import inspect
import sys
from textwrap import dedent


def docstring(kind: type) -> str:
    """A class's own docstring; under `python -OO` that of its source. "" if it has none.

    Raises:
        ValueError: If Python left docstrings out and there is no source.
    """
    if kind.__doc__ or sys.flags.optimize < 2:
        return inspect.cleandoc(kind.__doc__ or "")
    try:
        (written,) = ast.parse(dedent(inspect.getsource(kind))).body
    except (OSError, TypeError):
        raise ValueError(
            f"{kind.__name__}: python -OO leaves out what classes say of themselves, and its "
            "source is not installed: run without -OO"
        ) from None
    assert isinstance(written, ast.ClassDef)
    return ast.get_docstring(written) or ""


def summary(kind: type) -> str:
    """The first line of a class's docstring."""
    return docstring(kind).partition("\n")[0]
