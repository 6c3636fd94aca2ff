"""E3, E4, G2: a Hugging Face folder runs nothing, and what is wrong with it is one line."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lightning_posenc.cli import main
from lightning_posenc.diagnose.hugging_face import subject_in_folder
from tests.strangers.conftest import Marks, said

transformers = pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.torch")
WEIGHTS = "model.safetensors"
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folder")
    config = transformers.GPT2Config(
        n_embd=8, n_layer=1, n_head=2, n_positions=16, vocab_size=11, bos_token_id=0, eos_token_id=0
    )
    transformers.GPT2Model(config).save_pretrained(folder)
    return folder


def with_options(**options: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **options}))

    return change


def with_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        weights = safetensors.load_file(folder / WEIGHTS)
        change(weights)
        safetensors.save_file(weights, folder / WEIGHTS, {"format": "pt"})

    return rewrite


def truncated(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


def elsewhere(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    index = {"metadata": {}, "weight_map": {"wte.weight": "../other.safetensors"}}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (truncated, "no whole safetensors file"),
    "empty": (lambda folder: (folder / WEIGHTS).write_bytes(b""), "no whole safetensors file"),
    "none": (lambda folder: (folder / WEIGHTS).unlink(), "no weights"),
    "elsewhere": (elsewhere, "not in the folder"),
    "missing": (with_weights(lambda w: w.pop("h.0.attn.c_attn.weight")), "weights are missing"),
    "NaN": (with_weights(lambda w: [x.fill_(float("nan")) for x in w.values()]), "holds NaN"),
    "no heads": (with_options(n_head=0), "not a model"),
    "negative heads": (with_options(n_head=-1), "not a model"),
    "many": (with_options(n_positions="many"), "not a model"),
    "vocabulary": (with_options(vocab_size=10**10), "describes 80,000,"),
    "layers": (with_options(n_layer=100_000), "n_layer=100000, but there are"),
    "width": (with_options(n_inner=10**9), "describes"),
    "nesting": (lambda f: (f / "config.json").write_text("[" * 20_000), "nested too deeply"),
    "a list": (lambda f: (f / "config.json").write_text("[1]"), "no mapping"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_with_a_folder(kind: str, good: Path, tmp_path: Path) -> None:
    change, why = WRONG[kind]
    folder = shutil.copytree(good, tmp_path / "folder")
    change(folder)
    with pytest.raises(ValueError, match=why) as error:
        subject_in_folder(folder)
    assert "\n" not in str(error.value)


def test_a_whole_folder_is_admitted(good: Path) -> None:
    patient = subject_in_folder(good)
    assert patient.limit == 16
    assert patient.batch.tokens.shape == (32, 16)


def test_nothing_in_a_folder_runs(
    good: Path,
    tmp_path: Path,
    mark: Marks,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Pickled weights; code named by `auto_map`, whoever answers the library's question."""
    folder = shutil.copytree(good, tmp_path / "folder")
    torch.save({"wte.weight": mark.pickled}, folder / "pytorch_model.bin")
    (folder / "evil.py").write_text(f"import os\nos.system({mark.command!r})\n")
    subject_in_folder(folder)  # its safetensors are read, and nothing else
    classes = {"AutoConfig": "evil.C", "AutoModel": "evil.M", "AutoTokenizer": ["evil.T", None]}
    with_options(auto_map=classes, model_type="unheard_of")(folder)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 9))
    assert main(["diagnose", "--hf", str(folder)]) == 2
    assert "custom code" in said(capsys)
    (folder / WEIGHTS).unlink()
    assert main(["diagnose", "--hf", str(folder)]) == 2
    assert "pickled (pytorch_model.bin), which can run code" in said(capsys)
    assert mark.none()
