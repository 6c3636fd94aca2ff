"""What was measured is kept whole, and given to the same question only."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from lightning_posenc.extend.question import Question, weights_digest
from lightning_posenc.extend.records import RecordKey, Records
from lightning_posenc.runs.whole_files import UNFINISHED

ASKED = Question(
    model="tiny", weights="1a", texts={"a.txt": "2b"}, training="3c", trained_length=32,
    to=96, lengths=(32, 96), sequences=2, last=8, task_lengths=(32,), depths=(0.0, 0.5),
    passkeys=1, orders=2, seed=0, device="cpu", dtype="float32", attention="sdpa",
)  # fmt: skip
CELL = RecordKey("pi", "a.txt")


def test_a_new_start_finds_what_is_there(tmp_path: Path) -> None:
    records = Records(tmp_path / "study", ASKED)
    assert records.get(CELL) is None
    records.put(CELL, {"seconds": 1.5})
    records.close()
    again = Records(tmp_path / "study", ASKED)
    assert again.get(CELL) == {"method": "pi", "test": "a.txt", "seconds": 1.5}
    assert again.get(RecordKey("pi", "b.txt")) is None
    again.close()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"weights": "9f"}, "its weights is 1a, here it is 9f"),
        ({"texts": {"a.txt": "3c"}}, "its texts is {'a.txt': '2b'}, here it is {'a.txt': '3c'}"),
        ({"lengths": (32, 64, 96)}, "its lengths is [32, 96], here it is [32, 64, 96]"),
        ({"dtype": "bfloat16"}, "its dtype is float32"),
    ],
)
def test_another_question_is_refused_in_one_line(tmp_path: Path, changed: dict, said: str) -> None:
    Records(tmp_path, ASKED).close()
    with pytest.raises(ValueError, match="holds another study") as error:
        Records(tmp_path, replace(ASKED, **changed))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_nobody_writes_beside_another(tmp_path: Path) -> None:
    records = Records(tmp_path, ASKED)
    with pytest.raises(ValueError, match="another process"):
        Records(tmp_path, ASKED)
    records.close()
    Records(tmp_path, ASKED).close()


def test_a_write_that_stops_leaves_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = Records(tmp_path, ASKED)
    records.put(CELL, {"seconds": 1.5})
    with pytest.raises(TypeError):
        records.put(CELL, {"seconds": object()})
    assert records.get(CELL) == {"method": "pi", "test": "a.txt", "seconds": 1.5}
    assert not list(tmp_path.rglob(f"*{UNFINISHED}"))
    records.close()


def test_what_is_no_record_is_said_to_be_none(tmp_path: Path) -> None:
    records = Records(tmp_path, ASKED)
    records.put(CELL, {})
    (place,) = (tmp_path / "cells").rglob("*.json")
    place.write_text("[1, 2]")
    with pytest.raises(ValueError, match="no record of a study: remove it"):
        records.get(CELL)
    place.write_text('{"seconds": 1')
    with pytest.raises(ValueError, match="not JSON"):
        records.get(CELL)
    records.close()


def test_names_that_files_cannot_have(tmp_path: Path) -> None:
    """Each has a file of its own below the directory."""
    records = Records(tmp_path / "study", ASKED)
    names = ["../../a.txt", "a/b.txt", "a_b.txt", "", ".", "x" * 300, "longrope(search) + 20"]
    for number, name in enumerate(names):
        records.put(RecordKey(name, name), {"number": number})
    found = [records.get(RecordKey(name, name)) for name in names]
    assert [each and each["number"] for each in found] == list(range(len(names)))
    records.close()
    assert {path.name for path in tmp_path.iterdir()} == {"study"}


def test_every_weight_is_in_the_digest() -> None:
    """One that moves changes it, and so does the config."""
    model = nn.Sequential(nn.Linear(20, 30), nn.Linear(30, 2))
    before = weights_digest(model, "{}")
    assert weights_digest(model, "{}") == before
    assert weights_digest(model, json.dumps({"rope_theta": 1e6})) != before
    for parameter in model.parameters():
        kept = parameter.detach().clone()
        with torch.no_grad():
            parameter.mul_(1.001)
        assert weights_digest(model, "{}") != before
        with torch.no_grad():
            parameter.copy_(kept)
    assert weights_digest(model, "{}") == before
