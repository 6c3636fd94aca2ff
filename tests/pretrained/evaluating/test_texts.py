"""Texts of a person: several files, lines of JSON, special tokens where a model wants them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lightning_posenc.pretrained.evaluating.texts import Text, read_texts
from lightning_posenc.pretrained.reading import Pretrained
from tests.pretrained.evaluating.examples import lively, words


def with_words(special: bool = False) -> Pretrained:
    return Pretrained(lively("llama"), words("a", "b", special=special), "some/llama", "causal")


def test_files_and_lines_of_json_are_read(tmp_path: Path) -> None:
    plain, lines = tmp_path / "one.txt", tmp_path / "two.jsonl"
    plain.write_text("1 2 3 b", "utf-8")
    lines.write_text('{"text": "1 2"}\n\n{"text": "a", "more": 1}\n', "utf-8")
    first, second = read_texts(with_words(), [plain, lines])
    assert (first.name, first.ids.tolist()) == ("one.txt", [7, 8, 9, 17])
    assert second.ids.tolist() == [7, 8, 5, 16], "documents are parted by the end's token"


def test_windows_bear_the_special_tokens(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text(" ".join("0123456789" * 2), "utf-8")
    (text,) = read_texts(with_words(special=True), [path])
    assert (text.prefix, text.suffix) == ((2,), (3,))
    windows = text.windows(7, 3)
    assert windows.tolist() == [
        [2, 6, 7, 8, 9, 10, 3], [2, 11, 12, 13, 14, 15, 3], [2, 6, 7, 8, 9, 10, 3],
    ]  # fmt: skip
    assert text.holds(7) == 4


def test_windows_are_spread_over_the_text() -> None:
    text = Text("text", torch.arange(100))
    assert text.windows(10, 5)[:, 0].tolist() == [0, 20, 40, 60, 80]
    assert len(text.windows(10, 99)) == 10
    with pytest.raises(ValueError, match="100 tokens are too few for one sequence of 101"):
        text.windows(101, 1)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.txt", None, "no such file"),
        ("empty.txt", "\n", "no text in it"),
        ("broken.jsonl", '{"text": "a"}\n{"text": 3}\n', "line 2 is no"),
        ("broken.jsonl", "[" * 100_000, "line 1 is no"),
    ],
)
def test_a_bad_file_is_one_line(name: str, content: str | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content, "utf-8")
    with pytest.raises(ValueError, match=said) as error:
        read_texts(with_words(), [path])
    assert "\n" not in str(error.value)


def test_a_text_needs_a_tokenizer(tmp_path: Path) -> None:
    path = tmp_path / "text.jsonl"
    path.write_text(json.dumps({"text": "a"}), "utf-8")
    with pytest.raises(ValueError, match="some/llama has no tokenizer"):
        read_texts(replace(with_words(), tokenizer=None), [path])
