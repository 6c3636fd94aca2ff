"""The command `diagnose`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_posenc.cli import main
from lightning_posenc.diagnose.ailments import AILMENTS
from tests.pretrained.tiny import saved, tiny

TINY = [
    "--config=configs/quickstart.yaml",
    "--model.encoder={d_model: 16, n_heads: 2, n_layers: 2}",
    "--data.train_length=8",
    "--data.eval_lengths=[8]",
    "--data.eval_samples=64",
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a starved bias: the living case, made small."""
    run = tmp_path_factory.mktemp("run") / "run"
    args = [
        "fit", *TINY, "--model.positional=LearnedRelativeBias", "--model.positional.std=0",
        "--model.positional_lr_multiplier=0.01", f"--run_dir={run}", "--trainer.max_epochs=1",
        "--data.steps_per_epoch=120", "--trainer.enable_progress_bar=false",
        "--trainer.enable_model_summary=false", "--trainer.accelerator=cpu",
    ]  # fmt: skip
    assert main(args) == 0
    return run / "checkpoints" / "last.ckpt"


@pytest.mark.slow
def test_the_living_case_is_named_from_a_checkpoint(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diagnose", "--ckpt_path", str(checkpoint)]) == 0
    printed = capsys.readouterr().out
    assert "starved" in printed
    assert "--model.positional.std=2.0\n" in printed
    home = checkpoint.parent.parent
    page = (home / "diagnosis.md").read_text("utf-8")
    assert "`--model.positional_lr_multiplier=10`" in page
    html = (home / "diagnosis.html").read_text("utf-8")
    assert html.count("data:image/png;base64,") == html.count("<figure") >= 9
    assert html.count("<article") == len(AILMENTS)
    assert_needs_nothing_from_elsewhere(html)


def assert_needs_nothing_from_elsewhere(html: str) -> None:
    assert "<script" not in html
    assert "http" not in re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", html)
    assert 'name="viewport"' in html


@pytest.mark.slow
def test_what_is_said_beats_the_checkpoint(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["--ckpt_path", str(checkpoint), "--data.eval_lengths=[8,32]", "--out", str(tmp_path)]
    assert main(["diagnose", *args]) == 0
    assert "at the tested length 32" in " ".join(
        (tmp_path / "diagnosis.md").read_text("utf-8").split()
    )


@pytest.mark.slow
def test_a_config_is_examined_untrained(tmp_path: Path) -> None:
    assert main(["diagnose", *TINY, "--model.positional=NoPE", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "diagnosis.md").read_text("utf-8")
    assert "blind to order" in page
    assert "trained for 0 steps" in page
    assert_needs_nothing_from_elsewhere((tmp_path / "diagnosis.html").read_text("utf-8"))


def test_a_hugging_face_folder_is_examined(tmp_path: Path) -> None:
    saved(tiny("gpt2"), tmp_path / "model")
    assert main(["diagnose", "--hf", str(tmp_path / "model"), "--out", str(tmp_path)]) == 0
    page = (tmp_path / "diagnosis.md").read_text("utf-8")
    assert "2 layers" in page
    assert "tokens stay distinct | ✔ healthy" in page
    assert "no gradient was taken" in page  # F-F: none was, and so none differs
    assert "hard maximum length | ! watch" in page


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--nonsense"], "name --ckpt_path"),
        (["--ckpt_path", "missing.ckpt"], "no such file"),
        (["--hf", "missing"], "no config.json"),
        (["--text", "x", "--config", "y"], "--text goes with --hf"),
        ([*TINY, "--model.positional=Nonsense"], "Nonsense"),
        (["--hf", "x", "--more"], "takes no --more"),
    ],
)
def test_mistakes_end_in_one_line(
    args: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diagnose", *args]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys; from lightning_posenc.cli import main; main(['diagnose', '--help']); "
        "print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.endswith("False\n")
