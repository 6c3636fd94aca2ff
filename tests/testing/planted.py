"""What a judge must say of a class with a fault."""

from collections.abc import Iterable

import pytest

from lightning_posenc.testing import Check


def named(checks: Iterable[Check], name: str) -> Check:
    """The one of a name."""
    (check,) = (check for check in checks if check.name == name)
    return check


def assert_broken(checks: Iterable[Check], name: str) -> None:
    """The check of a name fails, and says whose promise is broken and what to do."""
    check = named(checks, name)
    with pytest.raises(Exception) as error:  # noqa: PT011 (torch's and pickle's own, too)
        check()
    said = [str(error.value), *getattr(error.value, "__notes__", [])]
    assert any(check.subject in line for line in said)
    assert any("to do: " in line for line in said)
