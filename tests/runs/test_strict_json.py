"""JSON that every reader takes."""

import ast
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

import lightning_posenc
from lightning_posenc.runs import strict_json

ROOT = Path(lightning_posenc.__file__).parent
SHOWN = {"report/diff/configs.py", "report/keys.py"}  # values in a table, for people
WHOLE = {"callbacks/results/predictions.py"}  # class numbers
OURS = {
    "modules/optimizer_record.py",
    "modules/resumption.py",
    "training/parser.py",
}  # no files of JSON


def refuse(name: str) -> Any:
    raise AssertionError(name)


def test_what_is_no_number_is_null() -> None:
    """B25: a bare NaN is a SyntaxError to others' readers."""
    given = {
        "a": math.nan,
        "b": [math.inf, (-math.inf, 1.5)],
        "c": {"d": np.float64("nan"), math.nan: 1, 0.5: 2},
        "e": [None, True, 3, "NaN"],
    }
    found = json.loads(strict_json.text(given, indent=1), parse_constant=refuse)
    assert found == {
        "a": None, "b": [None, [None, 1.5]], "c": {"d": None, "nan": 1, "0.5": 2},
        "e": [None, True, 3, "NaN"],
    }  # fmt: skip


def test_nobody_writes_json_without_it() -> None:
    """The kind of B25: every file that calls json.dump or json.dumps itself is known."""
    callers = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("json.dump", "json.dumps"):
                callers.add(path.relative_to(ROOT).as_posix())
    assert callers <= SHOWN | WHOLE | OURS | {"runs/strict_json.py", "sweep/trial.py"}
