"""Every mixer is what its paper's equation says, to 1e-5; and nobody's oracle shares its code."""

import ast
import inspect
from pathlib import Path

import pytest

from lightning_posenc.model import mixers
from lightning_posenc.model.mixers import Mixer
from tests.model.mixers.cases import CASES, MixerCase, error
from tests.oracles import mixers as oracles

TRIED = [(case, causal) for case in CASES for causal in case.directions]


@pytest.mark.parametrize(
    ("case", "causal"), TRIED, ids=[f"{case.name}-{causal}" for case, causal in TRIED]
)
def test_equals_a_double_loop_in_float64(case: MixerCase, causal: bool) -> None:
    assert error(case, causal) < 1e-5


def test_every_mixer_has_an_oracle() -> None:
    from lightning_posenc import Dims

    dims = Dims(16, 2, 1, causal=False), Dims(16, 2, 1, causal=True)
    held = {type(case.make(dims[case.directions[0]], 0)).__name__ for case in CASES}
    public = {
        name
        for name in mixers.__all__
        if inspect.isclass(kind := getattr(mixers, name))
        and issubclass(kind, Mixer)
        and not inspect.isabstract(kind)
    }
    assert public == held


@pytest.mark.parametrize(
    "path", sorted(Path(oracles.__path__[0]).glob("*.py")), ids=lambda path: path.stem
)
def test_oracles_share_no_code_with_the_package(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    imported = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    imported |= {each.name for node in nodes if isinstance(node, ast.Import) for each in node.names}
    theirs = {name for name in imported if not name.startswith("tests.oracles.mixers")}
    assert theirs <= {"cmath", "collections.abc", "math", "numpy", "numpy.typing", "typing"}
