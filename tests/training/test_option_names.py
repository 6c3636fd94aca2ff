"""What is misspelt is answered with what may have been meant; a value with what it must be."""

from pathlib import Path

import pytest

from lightning_posenc.cli import main

CONFIG = f"--config={Path(__file__).parents[2] / 'configs' / 'quickstart.yaml'}"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--trainer.max_epoch=3"], "trainer.max_epoch: did you mean trainer.max_epochs?"),
        (["--trainr.max_epochs=3"], "trainr.max_epochs: did you mean trainer?"),
        (["--data.batchsize=3"], "data.batchsize: did you mean data.batch_size?"),
        (["--data.task.n_symbol=4"], "did you mean data.task.n_symbols?"),
        (["--model.encoder.d_modle=3"], "did you mean model.encoder.d_model?"),
        (["--model.optimizer.betaz=1"], "betaz of AdamW: did you mean model.optimizer.betas?"),
        (["--model.schedule.warmup_step=1"], "did you mean model.schedule.warmup_steps?"),
        (["--model.optimizer=Lion"], "give pytorch_optimizer.Lion (pip install"),
        (["--ckpt_pth=x"], "did you mean ckpt_path?"),
        (["--config=quikstart.yaml"], "quikstart.yaml: the file does not exist: did you mean "),
        (["--config=quikstar"], "quikstar: the file does not exist: did you mean quickstart?"),
        (
            ["--config=digits_vit", "--data.eval_samples=3"],
            "or ToneData that has it, not the class",
        ),
        (["--config=m.yaml"], "unknown option modle.class_path: did you mean model?"),
        (["--trainer.max_epochs=x"], "trainer.max_epochs=x: must be a whole number"),
        (["--model.optimizer.lr=abc"], "model.optimizer.lr=abc: must be a number"),
        (["--model.schedule.warmup_steps=x"], "warmup_steps=x: must be a whole number"),
        (["--data.eval_lengths=x"], "data.eval_lengths=x: must be a list"),
        (["--model.compile={backend: inducto}"], "no backend 'inducto': did you mean inductor?"),
    ],
)
def test_the_line_says_what_was_meant(
    options: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("quickstart.yaml").write_text("{}\n")
    Path("m.yaml").write_text("modle: {class_path: x}\n")
    assert main(["fit", CONFIG, "--run_dir=out", *options]) == 2
    (line,) = [each for each in capsys.readouterr().err.splitlines() if each.startswith("error: ")]
    assert said in line
    assert len(line) < 300


def test_options_of_other_commands(capsys: pytest.CaptureFixture[str]) -> None:
    for args, said in (
        (["encodings", "--d_modle=3"], "did you mean --d_model?"),
        (["report", "x", "--metrc=3"], "did you mean --metric?"),
    ):
        assert main(args) == 2
        assert said in capsys.readouterr().err
