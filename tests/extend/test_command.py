"""The command `extend`, as a person uses it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_posenc.cli import main
from lightning_posenc.extend import command, comparing, study
from lightning_posenc.pretrained.methods import METHODS
from tests.extend.conftest import TO, TRAINED

SMALL = [
    "--to", str(TO), "--lengths", "16,64", "--last", "8", "--sequences", "2",
    "--passkeys", "0", "--orders", "0", "--device", "cpu",
]  # fmt: skip


@pytest.fixture
def asked(folder: Path, texts: list[Path], tmp_path: Path) -> list[str]:
    files = [str(file) for file in texts]
    return ["extend", "--hf", str(folder), "--text", *files, *SMALL, "--out", str(tmp_path / "out")]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without pictures, which take most of a small study's time."""
    monkeypatch.setattr(comparing, "pictures", lambda found: {})


def cells(out: Path) -> set[str]:
    return {str(path.relative_to(out / "cells")) for path in (out / "cells").rglob("*.json")}


def test_methods_by_texts_become_a_page(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*asked, "--methods", "pi,yarn(beta_fast=8),dynamic,resample-linear"]) == 0
    out = tmp_path / "out"
    names = ("unchanged", "pi", "dynamic")
    assert cells(out) >= {f"{n}/{t}.txt.json" for n in names for t in ("harbour", "baker")}
    printed = capsys.readouterr().out
    assert f"trained length: {TRAINED} tokens (max_position_embeddings={TRAINED})" in printed
    assert "pairs that never finish a turn: 3 of 4 in 32 tokens: 1-3" in printed
    assert str(out / "extend.html") in printed
    page, html = (out / "extend.md").read_text(), (out / "extend.html").read_text()
    for said in (
        "yarn(beta_fast=8)", "regression there", "Loss by length: baker.txt", "resample-linear",
        "it has no learned table of positions", "python -m lightning_posenc extend --hf",
    ):  # fmt: skip
        assert said in page, said
    assert html.count("data:image/png") == 4  # by length, by position twice, regression
    assert "http" not in re.sub(r"https?://(huggingface\.co|arxiv)\S*", "", html)
    assert set(re.findall(r"<(?:script|link|iframe)", html)) == set()


@pytest.mark.usefixtures("undrawn")
def test_the_records_are_those_of_the_tokens(asked: list[str], tmp_path: Path) -> None:
    """Unchanged, the loss at every length is what the model of Hugging Face computes itself."""
    import transformers

    assert main([*asked, "--methods", "pi"]) == 0
    folder, text = Path(asked[2]), Path(asked[4])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer(text.read_text(), add_special_tokens=False)["input_ids"]
    rows = [torch.tensor([[0, *ids[i * (TO - 1) : (i + 1) * (TO - 1)]]]) for i in range(2)]
    record = json.loads((tmp_path / "out/cells/unchanged/harbour.txt.json").read_text())
    for length in (16, TRAINED, 64, TO):
        with torch.no_grad():
            losses = [float(model(row[:, :length], labels=row[:, :length]).loss) for row in rows]
        found = record["lengths"][str(length)]["blocks"]
        assert found == pytest.approx(losses, abs=1e-4)


@pytest.mark.usefixtures("undrawn")
def test_a_new_start_measures_only_what_is_missing(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    measured: list[str] = []
    real = study.text_record

    def count(ready: Any, *rest: Any) -> dict[str, Any]:
        if len(measured) == 3:
            raise KeyboardInterrupt
        measured.append(ready.method.name)
        return real(ready, *rest)

    monkeypatch.setattr(study, "text_record", count)
    assert main([*asked, "--methods", "pi"]) == 130
    out = tmp_path / "out"
    assert len(cells(out)) == 3
    stopped = (out / "extend.md").read_text()
    assert "| pi | baker.txt: not measured yet; the same command goes on from there |" in stopped
    assert stopped.count("\n| pi |") == 1
    kept = {path: path.read_bytes() for path in out.rglob("*.txt.json")}
    measured.clear()
    assert main([*asked, "--methods", "pi,ntk"]) == 0
    assert measured == ["pi", "ntk", "ntk"]
    assert "3 of 6 measurements are there already" in capsys.readouterr().out
    assert all(path.read_bytes() == content for path, content in kept.items())
    page = (out / "extend.md").read_text()
    assert "| ntk |" in page
    assert "not measured yet" not in page


@pytest.mark.slow
def test_tasks_are_rows_of_the_page(asked: list[str], tmp_path: Path) -> None:
    """At the lengths that have room: the trained length of the tiny model has none."""
    asked[asked.index("--passkeys") + 1] = "1"
    asked[asked.index("--orders") + 1] = "2"
    asked[asked.index("--to") + 1] = "220"
    more = ["--lengths", "210", "--depths", "0,1", "--methods", "pi"]
    assert main([*asked, *more]) == 0
    page = (tmp_path / "out/extend.md").read_text()
    assert re.search(r"\| pi \| 210 \| \d+% \| \d+% \|", page)
    assert "## Order" in page
    assert "Passkeys found" in (tmp_path / "out/extend.html").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_memory_that_does_not_suffice_stops_no_study(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = study.text_record

    def short(ready: Any, *rest: Any) -> dict[str, Any]:
        if ready.method.name == "ntk":
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to …")
        return real(ready, *rest)

    monkeypatch.setattr(study, "text_record", short)
    assert main([*asked, "--methods", "ntk,pi"]) == 0
    page = (tmp_path / "out/extend.md").read_text()
    assert "| ntk | harbour.txt: too large for this machine's memory |" in page
    assert page.count("\n| ntk |") == 1
    assert not any(name.startswith("ntk/") for name in cells(tmp_path / "out"))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"--to": "32", "--lengths": "16"}, "was trained on 32: give more"),
        ({"--to": "300"}, "tokens are too few for a sequence of 300"),
        ({"--lengths": "16,400"}, "lengths=400 must be at most 96"),
        ({"--lengths": "16,x"}, "argument --lengths: invalid list of ints value"),
        ({"--last": "0"}, "last=0 must be at least 1"),
        ({"--dtype": "int8"}, "extend: dtype='int8' must be one of float32"),
        ({"--methods": ","}, "--methods names none"),
        ({"--methods": "yarn(beta_fast=-1)"}, "--methods yarn(beta_fast=-1): Yarn: beta_fast=-1"),
        ({"--orders": "2", "--task_lengths": "40"}, "--task_lengths 40: a question of"),
        ({"--last": "16"}, "the shortest of --lengths is 16"),
        ({"--methods": "yarm"}, "no method 'yarm': did you mean yarn?"),
        ({"--methods": "yarn(beta=1)"}, "has no argument 'beta': it has beta_fast, beta_slow"),
        ({"--methods": "yarn(__import__('os'))"}, "write NAME(argument=value)"),
        ({"--methods": "pi,pi"}, "pi is there twice"),
        ({"--depths": "2"}, "depths=2.0 must be a number in [0, 1]"),
        ({"--orders": "1"}, "give 2, or 0"),
        ({"--rate": "0.1"}, "--rate goes with --finetune"),
        ({"--save": "x"}, "say which method"),
        ({"--method": "pi"}, "goes with --save or --finetune"),
        ({"--sequence": "1"}, "did you mean --sequences?"),
        ({"--hf": "nowhere"}, "nowhere"),
    ],
)
def test_a_mistake_is_one_line(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict, said: str
) -> None:
    for option, value in changed.items():
        if option in asked:
            asked[asked.index(option) + 1] = value
        else:
            asked += [option, value]
    assert main(asked) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("undrawn")
def test_another_text_is_another_study(
    asked: list[str], texts: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    asked[asked.index("--sequences") + 1] = "1"
    assert main([*asked, "--methods", "unchanged"]) == 0
    asked.remove(str(texts[1]))
    assert main([*asked, "--methods", "unchanged"]) == 2
    assert "holds another study: its texts is" in capsys.readouterr().err


def test_the_help_names_every_method() -> None:
    listed = command.HELP.partition("--methods LIST")[2].partition("--text FILE")[0]
    assert {kind.name for kind in METHODS} <= set(re.findall(r"[\w-]+", listed))


def test_code_that_ends_before_is_a_reason_and_no_crash(
    texts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """GPT-J's sines end where its config says, whatever any method would do."""
    from tests.extend.conftest import byte_tokenizer
    from tests.pretrained.tiny import saved, tiny

    place = saved(tiny("gptj", "AutoModelForCausalLM", vocab_size=257), tmp_path / "gptj")
    byte_tokenizer().save_pretrained(place)
    asked = ["extend", "--hf", str(place), "--text", str(texts[0]), *SMALL, "--sequences", "1"]
    assert main([*asked, "--methods", "pi", "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out/extend.md").read_text()
    assert "**No method reads 96 tokens.**" in page
    assert "| unchanged | harbour.txt: the model cannot read as many tokens" in page
    assert "left out: pi: " in capsys.readouterr().out


def test_the_page_of_the_docs_names_every_method() -> None:
    table = (Path(__file__).parents[2] / "docs/extend.md").read_text("utf-8")
    assert {kind.name for kind in METHODS} == set(re.findall(r"`([\w-]+)`", "".join(
        line.split("|")[1] for line in table.splitlines() if line.startswith("| `")
    )))  # fmt: skip
