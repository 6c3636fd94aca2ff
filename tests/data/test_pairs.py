"""Sources and answers: of tasks as their own solvers read them, of texts as files hold them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_posenc.data import PairData, TextPairData
from lightning_posenc.data.buckets import BucketedPasses
from lightning_posenc.data.pairs.tasks import as_pairs
from lightning_posenc.tasks import (
    IGNORE,
    Addition,
    IndexLookup,
    Reverse,
    ReverseWords,
    Sorting,
    Task,
    WordOrder,
)

pytestmark = pytest.mark.usefixtures("private_cache")
ROWS = [{"de": f"wort {n} " * (n % 4 + 1), "en": "x" * (n % 7 + 1)} for n in range(40)]


def pairs(task: Task, length: Any = 5) -> tuple[Any, Any]:
    data = PairData(task, train_length=length, batch_size=16)
    return data, next(iter(data.train_dataloader()))


def answers(targets: Tensor, end: int) -> list[list[int]]:
    """Each ends with the end, and nothing is scored behind it."""
    found = []
    for row in targets.tolist():
        at = row.index(end)
        assert row[at + 1 :] == [IGNORE] * (len(row) - at - 1)
        found.append(row[:at])
    return found


@pytest.mark.parametrize("length", [5, [2, 9]], ids=str)
def test_a_task_of_all_tokens_is_read_whole(length: Any) -> None:
    data, batch = pairs(Reverse(7), length)
    assert (data.vocab_size, data.n_classes) == (7, 8)
    lengths = [batch.tokens.shape[1]] * 16 if batch.lengths is None else batch.lengths.tolist()
    for row, n, said in zip(batch.tokens.tolist(), lengths, answers(batch.targets, 7), strict=True):
        assert said == row[:n][::-1]
    assert data.printed_answer([3, 0]) == "3 0"


def test_a_class_is_an_answer_of_one_token() -> None:
    data, batch = pairs(IndexLookup())
    assert batch.targets.shape == (16, 2)
    assert (batch.targets[:, 1] == data.n_classes - 1).all()


@pytest.mark.parametrize(
    "task", [WordOrder(), Addition(), ReverseWords()], ids=lambda task: type(task).__name__
)
def test_a_prompt_is_read_and_its_answer_written(task: Any) -> None:
    """What is read and what is written make the line that the task itself prints."""
    data, batch = pairs(task, [3, 7])
    plain = (
        super(PairData, data)._dataset("train", data.train_lengths).__getitems__(list(range(16)))
    )
    assert data.n_classes == task.n_classes
    again = as_pairs(plain, task)
    assert torch.equal(again.tokens, batch.tokens)
    assert torch.equal(again.targets, batch.targets)
    assert batch.tokens.shape[1] == int(batch.lengths.max())
    for n, said in enumerate(answers(batch.targets, task.end)):
        source = batch.tokens[n, : batch.lengths[n]].tolist()
        line = task.show(plain.tokens[n].tolist(), plain.targets[n].tolist())
        prompt = " ".join(task.symbols[token] for token in source)
        assert line == f"{prompt}  ->  {data.printed_answer(said)} <end>".replace("  <", " <")


def test_what_is_not_scored_is_no_answer() -> None:
    _, batch = pairs(Sorting(), 6)
    assert all(len(said) > 0 for said in answers(batch.targets, Sorting().n_classes))


def write(folder: Path, kind: str = "jsonl", rows: Any = ROWS) -> str:
    file = folder / f"pairs.{kind}"
    if kind == "csv":
        lines = ["de,en", *(f"{row['de']},{row['en']}" for row in rows)]
    elif kind == "translation.jsonl":
        lines = [json.dumps({"id": n, "translation": row}) for n, row in enumerate(rows)]
    else:
        lines = [json.dumps(row) for row in rows]
    file.write_text("\n".join(lines))
    return str(file)


def made(path: str, inner: str = "", **options: Any) -> TextPairData:
    columns = {"text_column": f"{inner}de", "target_column": f"{inner}en"}
    data = TextPairData(path, **{"batch_size": 4, "train_length": 12, **columns, **options})
    data.prepare_data()
    data.setup("fit")
    return data


@pytest.mark.parametrize(
    ("kind", "inner"), [("jsonl", ""), ("csv", ""), ("translation.jsonl", "translation.")]
)
def test_texts_are_those_of_the_file(kind: str, inner: str, tmp_path: Path) -> None:
    """As far as they are kept; with an end where they are whole."""
    data = made(write(tmp_path, kind), inner, answer_length=5)
    assert (data.vocab_size, data.n_classes) == (256, 257)
    found = []
    for loader in (data.train_dataloader(), data.val_dataloader()):
        for batch in loader:
            for row, n, target in zip(batch.tokens, batch.lengths, batch.targets, strict=True):
                said = [t for t in target.tolist() if t != IGNORE]
                assert (row[n:] == 0).all()
                assert len(said) <= 5
                found.append((data.decode(row[:n].tolist()), said))
    expected = []
    for row in ROWS:
        said = [*row["en"].encode(), 256][:5]
        expected.append((row["de"][:12].strip() if kind == "csv" else row["de"][:12], said))
    if kind == "csv":
        found = [(text.strip(), said) for text, said in found]
    assert sorted(found) == sorted(expected)
    assert data.predicted(0, [104, 105], None) == {"prediction": "hi"}


def test_what_is_to_be_translated_has_no_answers(tmp_path: Path, trainer: Any) -> None:
    """Neither a column of them, nor some; a test wants both."""
    known = made(write(tmp_path))
    sources = [{"de": row["de"]} for row in ROWS[:3]]
    for name, rows in (("none", sources), ("some", [*sources, {"de": "x", "en": None}])):
        (tmp_path / name).mkdir()
        path = write(tmp_path / name, rows=rows)
        columns = {"text_column": "de", "target_column": "en", "train_length": 12}
        other = TextPairData(path, batch_size=4, **columns)
        other.adopt(known.state_dict() | {"stream": {}})
        for fn in ("predict", "test"):
            other.trainer = runs = trainer()
            runs.state.fn = fn
            if fn == "test":
                with pytest.raises(ValueError, match="'en'"):
                    other.setup(fn)
                continue
            other.setup(fn)
            (batch,) = other.predict_dataloader()
            read = zip(batch.tokens, batch.lengths, strict=True)
            assert [other.decode(row[:n].tolist()) for row, n in read] == [
                row["de"][:12] for row in rows
            ]


def test_characters_are_those_of_both_sides(tmp_path: Path) -> None:
    data = made(write(tmp_path), vocabulary="chars")
    assert set(data.vocabulary.characters) == set("wort 0123456789x")  # type: ignore[attr-defined]


def test_buckets_hold_alike_lengths_and_the_same_items() -> None:
    lengths = torch.stack([torch.arange(64) % 9, torch.arange(64) % 5], dim=1)
    plain, sorted_ = (BucketedPasses(lengths, 3, 8, n) for n in (1, 4))
    elements = torch.arange(128)
    one, other = plain(elements), sorted_(elements)
    for bucket in range(4):
        here = slice(32 * bucket, 32 * (bucket + 1))
        assert sorted(one[here].tolist()) == sorted(other[here].tolist())
    spread = [
        float(
            (
                lengths[each][:, 0].view(-1, 8).amax(1) - lengths[each][:, 0].view(-1, 8).amin(1)
            ).sum()
        )
        for each in (one, other)
    ]
    assert spread[1] < spread[0] / 2
    assert not torch.equal(other[:32].sort().values, other[:32])
    some = torch.tensor([70, 3, 33])
    assert torch.equal(BucketedPasses(lengths, 3, 8, 4)(some), other[some])  # whatever came before


@pytest.mark.parametrize("rank", [0, 1])
def test_bucketed_batches_have_little_padding(rank: int, tmp_path: Path) -> None:
    """And go on where a run was left, since they are a function of the number of the batch."""
    data = made(write(tmp_path), bucket=5, vocabulary="bytes")
    assert data.order()["data.bucket"] == 5
    widths = [int(batch.lengths.max() - batch.lengths.min()) for batch in data.train_dataloader()]
    plain = made(write(tmp_path), bucket=1)
    others = [int(b.lengths.max() - b.lengths.min()) for b in plain.train_dataloader()]
    assert sum(widths) < sum(others)


@pytest.mark.parametrize(
    ("rows", "options", "line"),
    [
        (
            [{"de": "a", "en": "b"}, {"de": "c"}] * 3,
            {},
            "3 of 6 train pairs have nothing in column",
        ),
        ([{"de": "", "en": "b"}, {"de": "c", "en": "d"}], {}, "row 0"),
        (ROWS, {"target_column": "fr"}, "data.target_column to one of de, en"),
        (ROWS, {"target_column": "de"}, "be another column than text_column"),
        ([{"de": "a", "en": 1}] * 4, {}, "set data.target_column to one that holds text"),
        ([], {}, "is empty"),
        ([{"de": "a", "en": "b"}], {}, "give at least 2"),
        (ROWS, {"answer_length": 0}, "answer_length=0"),
    ],
    ids=["no side", "empty side", "no column", "one column", "numbers", "empty", "one", "length"],
)
def test_mistakes_are_one_line(rows: Any, options: Any, line: str, tmp_path: Path) -> None:
    path = write(tmp_path, rows=rows)
    with pytest.raises(ValueError, match=line) as refusal:
        made(path, **options)
    assert "\n" not in str(refusal.value)
