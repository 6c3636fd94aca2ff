"""The command `export`, from a checkpoint that the product has trained."""

from pathlib import Path

import pytest
import torch

from lightning_posenc.cli import main
from lightning_posenc.pretrained import conversion

pytest.importorskip("transformers")

QUICK = [
    "--trainer.max_steps=2", "--trainer.limit_val_batches=1", "--test_after_fit=false",
    "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false",
    "--trainer.accelerator=cpu", "--trainer.logger=false",
]  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a small model of configs/text_offline.yaml."""
    run = tmp_path_factory.mktemp("run")
    text = run / "some.txt"
    text.write_text("What is written here is read by bytes. " * 50)
    args = [
        "fit", "--config=configs/text_offline.yaml", f"--data.path={text}",
        "--model.encoder={d_model: 32, n_heads: 4, n_layers: 2}", "--data.train_length=16",
        "--data.steps_per_epoch=2", f"--run_dir={run / 'run'}", *QUICK,
    ]  # fmt: skip
    assert main(args) == 0
    text.unlink()  # a checkpoint needs its text no more
    return run / "run" / "checkpoints" / "last.ckpt"


def test_a_checkpoint_becomes_a_plain_folder(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out = tmp_path / "out"
    assert main(["export", "--ckpt_path", str(checkpoint), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert f"{out}: a plain folder of GPT-NeoX, with its tokenizer\n" in said
    assert said.count("scores differ by ") == 2
    model, tokenizer = (kind.from_pretrained(out) for kind in (AutoModelForCausalLM, AutoTokenizer))
    ids = tokenizer("What is", return_tensors="pt")["input_ids"]
    found = conversion.from_pretrained(out).logits(conversion_batch(ids))
    assert (found - model(ids).logits).abs().max() < 1e-5
    assert (model.config.max_position_embeddings, tokenizer.model_max_length) == (16, 16)


def test_any_checkpoint_becomes_safetensors(checkpoint: Path, tmp_path: Path) -> None:
    """The command line has made this one: its arguments are those of a config."""
    out = tmp_path / "out"
    args = ["export", "--ckpt_path", str(checkpoint), "--out", str(out), "--format=safetensors"]
    assert main(args) == 0
    module = conversion.from_pretrained(out)
    kept = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert module.state_dict().keys() == kept.keys()
    assert all(torch.equal(value, kept[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "required: --out"),
        (["--out=there"], "there is there already"),
        (["--out=out", "--format=pickle"], "invalid choice: 'pickle'"),
        (["--out=out", "--model.positional=T5Bias"], "does not fit|T5Bias"),
    ],
)
def test_a_mistake_is_one_line(
    checkpoint: Path, args: list[str], said: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import re

    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").write_text("")
    assert main(["export", "--ckpt_path", str(checkpoint), *args]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert re.search(said, line)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def conversion_batch(ids: torch.Tensor):
    from lightning_posenc.data import Batch

    return Batch(ids, ids)
