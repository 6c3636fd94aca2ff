"""A class of somebody's own package is listed and described as ours are."""

import sys
from pathlib import Path

import pytest

from lightning_posenc import positional, tasks
from lightning_posenc.catalogue.discovery import classes
from lightning_posenc.cli import main
from lightning_posenc.positional import PositionalEncoding, Rotary
from lightning_posenc.tasks import Task

MODULES = {
    "__init__": "",
    "__main__": "raise SystemExit('a program was run')",
    "encodings": '''
import torch
from lightning_posenc.positional import PositionalEncoding, RelativeBias
from lightning_posenc.positions import Consecutive


class RootBias(RelativeBias):
    """Falls with the root of the distance, at a rate that each head learns."""

    def __init__(self, dims, rate=1.0):
        super().__init__(dims)
        self.rate = torch.nn.Parameter(torch.full((dims.n_heads,), rate))

    def bias_at(self, delta):
        return -self.rate.view(-1, *[1] * delta.dim()) * (delta.abs() + 1).sqrt()


class Short(RootBias):
    """Serves few tokens only."""

    def check(self, places):
        if places.bounds()[1] >= 40:
            raise ValueError("Short: serves 40 tokens: give shorter ones")


class Needy(RootBias):
    """Wants to be told more."""

    def __init__(self, dims, rate):
        super().__init__(dims, rate)


class _Hidden(RootBias):
    """Shared only."""


class Backwards(Consecutive):
    """Counts, as others do."""
''',
    "deep.tasks": '''
from lightning_posenc.tasks import Reverse


class MyReverse(Reverse):
    """Say it from its end."""
''',
    "broken": "raise RuntimeError('not\\nhere')",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A package of a name of its own, without the broken module, importable."""
    name = f"strange_{abs(hash(request.node.name))}"
    for module, text in MODULES.items():
        file = tmp_path.joinpath(name, *module.split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        if module != "broken":
            file.write_text(text)
    (tmp_path / name / "deep" / "__init__.py").write_text("")
    (tmp_path / f"{name}_broken.py").write_text(MODULES["broken"])
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return name


def test_encodings_of_a_package_are_described_by_running(
    package: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["encodings", package, "--d_model=64"]) == 0
    shown = capsys.readouterr().out
    rows = [line.split() for line in shown.splitlines()]
    assert [f"{package}.encodings.RootBias", "4", "any", "no", "not", "recorded"] in rows
    assert [f"{package}.encodings.Short", "4", "40", "no", "not", "recorded"] in rows
    assert "hooks: bias; kernel: SDPA, learned bias" in shown
    assert f"{package}.encodings.Backwards" in shown
    assert f"since they need arguments: {package}.encodings.Needy." in shown
    assert "Cost: none is recorded of these classes." in shown
    assert "Hidden" not in shown
    assert "ALiBi" not in shown
    assert main(["encodings", package, "--markdown"]) == 0
    table = capsys.readouterr().out
    assert f"| `{package}.encodings.RootBias` |  | bias | 4 | yes | no |" in table


def test_tasks_of_a_package_are_listed_and_printed(
    package: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tasks", package]) == 0
    shown = capsys.readouterr().out
    assert f"{package}.deep.tasks.MyReverse  one of" in shown
    assert "Say it from its end." in shown
    assert main(["tasks", f"{package}.deep.tasks.MyReverse", "--n=1", "--length=4"]) == 0
    assert "length 4: Say it from its end." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["encodings", "no_such_module"], "no module 'no_such_module' is found from here"),
        (["encodings", "json"], "encodings: json defines no encoding"),
        (["encodings", "{}_broken"], "cannot be imported: RuntimeError: not here"),
        (["tasks", "{}"], ""),
        (["tasks", "{}.encodings"], "no task"),
        (["tasks", "{}.deep.tasks.Reverze"], "no task"),
        (["tasks", "copy"], "did you mean Copy?"),  # which Python has as a module
    ],
)
def test_what_is_not_there_is_one_line(
    arguments: list[str], said: str, package: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main([argument.format(package) for argument in arguments])
    error = capsys.readouterr().err
    assert status == (2 if said else 0)
    assert said in error
    assert len(error.splitlines()) == bool(said)


def test_all_that_we_export_is_discovered() -> None:
    found = classes(PositionalEncoding)
    assert found.keys() <= set(positional.__all__)
    assert {"RoPE", "Chain", "NoPE"} <= found.keys()
    assert Rotary not in found.values() or "Rotary" in positional.__all__
    named = {name for name in tasks.__all__ if isinstance(getattr(tasks, name), type)}
    assert classes(Task).keys() <= named
    assert "lightning_posenc" in sys.modules
