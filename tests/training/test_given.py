"""What a user has given is read as the parser reads it."""

import pytest

from lightning_posenc.training.given import value_of


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["fit"], None),
        (["fit", "--run_dir=a"], "a"),
        (["fit", "--run_dir", "a", "--run_dir=b"], "b"),
        (["fit", "--run_dir=a", "--run_dir", "b"], "b"),
        (["fit", "--run_dir=a", "--run_dir="], ""),
        (["fit", "--run_dirs=a"], None),
    ],
)
def test_the_last_value_counts(args: list[str], expected: str | None) -> None:
    assert value_of("--run_dir", args) == expected
