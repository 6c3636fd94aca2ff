"""The command from a folder to a folder: trained, compared, saved, and read by Hugging Face."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from lightning_posenc.cli import main
from lightning_posenc.extend import comparing
from lightning_posenc.positional.resampling import resampled, resampled_grid
from lightning_posenc.pretrained.adapting import finetuning
from tests.extend.conftest import TO
from tests.pretrained.methods.models import tiny
from tests.pretrained.tiny import saved

STEPS = 4


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "pictures", lambda found: {})


@pytest.fixture
def asked(folder: Path, texts: list[Path], tmp_path: Path) -> list[str]:
    """To train under YaRN, and to save what comes out."""
    return [
        "extend", "--hf", str(folder), "--text", *map(str, texts), "--to", str(TO), "--last", "4",
        "--sequences", "1", "--passkeys", "0", "--orders", "0", "--device", "cpu",
        "--methods", "pi", "--method", "yarn", "--finetune", str(STEPS), "--rate", "0.01",
        "--out", str(tmp_path / "out"), "--save", str(tmp_path / "saved"),
    ]  # fmt: skip


def read(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder).eval()


@pytest.mark.slow
def test_what_was_trained_and_compared_is_what_is_saved(
    asked: list[str], folder: Path, texts: list[Path], tmp_path: Path
) -> None:
    assert main(asked) == 0
    names = {path.name for path in (tmp_path / "out/cells").iterdir()}
    (trained,) = (name for name in names if f"{STEPS}" in name)
    before, after = read(folder), read(tmp_path / "saved")
    assert after.config.rope_parameters["rope_type"] == "yarn"
    assert after.config.max_position_embeddings == TO
    for (name, was), now in zip(before.named_parameters(), after.parameters(), strict=True):
        is_trained = any(part in name for part in ("q_proj", "k_proj"))
        assert torch.equal(was, now) is not is_trained, name
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert tokenizer.model_max_length == TO
    ids = tokenizer(texts[0].read_text(), return_tensors="pt")["input_ids"][:, :TO]
    record = json.loads((tmp_path / "out/cells" / trained / "harbour.txt.json").read_text())
    with torch.no_grad():
        loss = float(after(ids, labels=ids).loss)
    assert record["lengths"][str(TO)]["blocks"] == [pytest.approx(loss, abs=1e-4)]
    card = (tmp_path / "saved/README.md").read_text()
    assert f"| yarn + {STEPS} steps at 0.01 |" in card
    assert "python -m lightning_posenc extend --hf" in card
    assert "| pi |" in card


@pytest.mark.slow
def test_what_was_trained_once_is_not_trained_again(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(asked) == 0
    monkeypatch.setattr(finetuning, "_train", None)
    asked[-1] = str(tmp_path / "again")
    assert main(asked) == 0
    one, other = (read(tmp_path / name) for name in ("saved", "again"))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.slow
def test_a_table_of_512_rows_becomes_one_of_1024(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny("bert", max_position_embeddings=512).model
    asked = ["extend", "--hf", str(saved(model, tmp_path / "bert")), "--to", "1024"]
    for method, curve, antialias in (
        ("resample-linear", "linear", False),
        ("resample-linear(antialias=True)", "linear", True),
        ("resample-bicubic", "cubic", False),
    ):
        out = tmp_path / method
        assert main([*asked, "--method", method, "--save", str(out)]) == 0
        again = transformers.BertForMaskedLM.from_pretrained(out).eval()
        found = again.bert.embeddings.position_embeddings.weight
        table = model.bert.embeddings.position_embeddings.weight.detach()
        assert torch.equal(found, resampled(table, 1024, curve, antialias))  # type: ignore[arg-type]
        with torch.no_grad():
            assert again(torch.full((1, 1024), 3)).logits.isfinite().all()
    assert capsys.readouterr().out.splitlines()[-1] == str(out)


@pytest.mark.slow
@pytest.mark.parametrize("antialias", [False, True])
def test_a_grid_of_14_becomes_one_of_32(antialias: bool, tmp_path: Path) -> None:
    model = tiny("vit").model
    out = tmp_path / "out"
    asked = ["extend", "--hf", str(saved(model, tmp_path / "vit")), "--to", "64"]
    method = f"resample-bicubic(antialias={antialias})"
    assert main([*asked, "--method", method, "--save", str(out)]) == 0
    again = transformers.ViTForImageClassification.from_pretrained(out).eval()
    table = model.vit.embeddings.position_embeddings.detach()[0, 1:]
    made = resampled_grid(table.unflatten(0, (14, 14)), 32, 32, antialias=antialias)
    assert torch.equal(again.vit.embeddings.position_embeddings[0, 1:], made.flatten(0, 1))
    with torch.no_grad():
        assert again(torch.zeros(1, 3, 64, 64)).logits.isfinite().all()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"--method": "rerope"}, "rerope cannot be saved: it changes how attention"),
        ({"--method": "tile"}, "tile: it has no learned table of positions"),
        ({"--save": "."}, "--save . holds files: name another directory"),
    ],
)
def test_what_cannot_be_saved_is_said_before_anything_is_measured(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict, said: str
) -> None:
    for option, value in changed.items():
        asked[asked.index(option) + 1] = value
    assert main(asked) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


# Folders that anybody may have made -------------------------------------------------------------


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"weight": torch.ones(1)}, folder / "pytorch_model.bin")


def truncated(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def with_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    classes = {"AutoConfig": "theirs.Config", "AutoModelForCausalLM": "theirs.Model"}
    config |= {"auto_map": classes, "model_type": "theirs"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "theirs.py").write_text(f"open({str(folder / 'ran')!r}, 'w')")


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "code": (with_code, "not a model that can be read"),
    "pickle": (pickled, "its weights are pickled (pytorch_model.bin), which can run code"),
    "truncated": (truncated, "model.safetensors is no whole safetensors file"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no weights: give"),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("command", ["extend", "diagnose"])
def test_a_hostile_folder_is_one_line(
    command: str, kind: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, said = HOSTILE[kind]
    theirs = shutil.copytree(folder, tmp_path / "theirs")
    change(theirs)
    more = ["--to", str(TO), "--method", "pi", "--save", str(tmp_path / "out")]
    assert main([command, "--hf", str(theirs), *(more if command == "extend" else [])]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (theirs / "ran").exists()
    assert not (tmp_path / "out").exists()


def test_code_beside_a_known_family_is_left_alone(folder: Path, tmp_path: Path) -> None:
    theirs = shutil.copytree(folder, tmp_path / "theirs")
    with_code(theirs)
    config = json.loads((theirs / "config.json").read_text())
    (theirs / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))
    out = tmp_path / "out"
    asked = ["extend", "--hf", str(theirs), "--to", str(TO), "--method", "pi", "--save", str(out)]
    assert main(asked) == 0
    assert not (theirs / "ran").exists()
    assert not (out / "theirs.py").exists()
    assert "auto_map" not in json.loads((out / "config.json").read_text())
