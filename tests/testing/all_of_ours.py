"""A table of what is judged leaves out none of the model's exported classes."""

import inspect
from collections.abc import Iterable
from typing import Any

from lightning_posenc import model


def assert_all_are_judged(makers: Iterable[Any], base: type) -> None:
    """Each exported class of a kind, but abstract ones, is in a table, as itself or by partial."""
    judged = {getattr(make, "func", make) for make in makers}
    exported = [getattr(model, name) for name in model.__all__]
    missing = {
        kind
        for kind in exported
        if isinstance(kind, type) and issubclass(kind, base) and not inspect.isabstract(kind)
    } - {base, *judged}
    assert not missing, f"add a line: {sorted(kind.__name__ for kind in missing)}"
    assert judged <= set(exported)
