"""The doctor on models that mix tokens without attention, from a run to its pages."""

from pathlib import Path

import pytest

from lightning_posenc.cli import main
from lightning_posenc.diagnose.ailments import AILMENTS
from lightning_posenc.diagnose.ailments.base import Remedy, ill
from lightning_posenc.diagnose.ailments.fitting import SOFTMAX, fitting
from lightning_posenc.model import (
    Attention,
    FNet,
    GatedAttention,
    LinearAttention,
    Mixer,
    Retention,
)

CONFIG = Path(__file__).parents[2] / "configs" / "quickstart.yaml"
SMALL = [
    "--model.encoder={d_model: 16, n_heads: 2, n_layers: 2}", "--data.train_length=12",
    "--data.eval_lengths=[12,24]", "--data.batch_size=8", "--data.steps_per_epoch=8",
    "--data.eval_samples=32", "--trainer.max_epochs=1", "--trainer.log_every_n_steps=1",
    "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false",
]  # fmt: skip
STATISTICS = ["--trainer.callbacks+=AttentionStatistics", "--trainer.callbacks.every_n_steps=4"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mixer", "positional", "causal", "seen"),
    [
        pytest.param("FNet", "NoPE", False, False, marks=pytest.mark.long),
        pytest.param("Retention", "RoPE", True, False, marks=pytest.mark.long),
        ("LinearAttention", "LearnedAbsolute", False, True),
    ],
)
def test_from_a_run_to_its_pages(
    mixer: str, positional: str, causal: bool, seen: bool, tmp_path: Path
) -> None:
    """What needs weights is not applicable, or is of those that the mixer tells; all else is
    judged, and no part of a model that was hardly trained is blamed.
    """
    run = tmp_path / "run"
    # By the full path: other tests have a LinearAttention of their own.
    wiring = [
        f"--model.encoder.mixer=lightning_posenc.model.{mixer}",
        f"--model.positional={positional}",
    ]
    told = [*SMALL, *wiring, f"--model.causal={causal}", f"--run_dir={run}"]
    told += STATISTICS if seen else []
    assert main(["fit", "--config", str(CONFIG), *told]) == 0
    assert ("attn/entropy" in (run / "metrics.csv").read_text("utf-8")) is seen
    assert main(["diagnose", f"--ckpt_path={run}"]) == 0
    said = (run / "diagnosis.md").read_text("utf-8")
    verdicts = {
        cells[1].strip(): (cells[3].strip(), cells[4])
        for line in said.splitlines()
        if len(cells := line.split("|")) > 4 and cells[1].strip().isdecimal()
    }
    assert set(verdicts) == {str(ailment.number) for ailment in AILMENTS}
    assert "ill" not in {verdict for verdict, _ in verdicts.values()}
    for number in ("3", "7"):
        verdict, why = verdicts[number]
        assert ("not applicable" in verdict) is not seen
        assert (f"mixed by {mixer}" in why) is not seen
    assert f"tokens are mixed by {mixer}, without attention" in verdicts["13"][1]
    html = (run / "diagnosis.html").read_text("utf-8")
    assert html.count("<svg") + html.count("<img") >= 2
    assert main(["report", str(run), f"--out={tmp_path / 'report'}"]) == 0
    assert "PositionPattern" in (tmp_path / "report" / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("mixer", "line", "fits"),
    [
        (Attention, "--model.positional=ALiBi", True),
        (FNet, "--model.positional=LearnedAbsolute", True),
        (FNet, "--model.positional=RoPE", False),
        (Retention, "--model.positional=RoPE", True),
        (LinearAttention, "--model.positional=T5Bias --model.positional.shared=false", False),
        (GatedAttention, "--model.encoder.mixer.qk_norm=torch.nn.LayerNorm", True),
        (LinearAttention, "--model.encoder.mixer.qk_norm=torch.nn.LayerNorm", False),
        (FNet, "--trainer.max_epochs=10", True),
        (FNet, "", True),
    ],
)
def test_what_a_mixer_refuses_comes_with_one_that_does_not(
    mixer: type[Mixer], line: str, fits: bool
) -> None:
    (remedy,) = fitting(ill("", Remedy(line, "")), [Attention, mixer]).remedies
    assert remedy.line == (line if fits else f"{SOFTMAX} {line}")
