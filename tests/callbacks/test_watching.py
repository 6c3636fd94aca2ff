"""The watching callbacks from the command line: keys, pictures, and the numbers beside them."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from lightning_posenc.cli import main

QUICKSTART = str(Path(__file__).parents[2] / "configs" / "quickstart.yaml")
TINY = [
    "--model.encoder={d_model: 16, n_heads: 2, n_layers: 2}",
    "--data.steps_per_epoch=5",
    "--data.eval_samples=32",
    "--data.batch_size=8",
    "--trainer.max_epochs=1",
    "--trainer.log_every_n_steps=1",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
]
WATCHING = {
    "AttentionStatistics": ("attention_statistics", "attention_entropy"),
    "OrderSensitivity": ("order_sensitivity",),
    "PositionProbe": ("position_probe",),
    "PositionalGradients": ("positional_gradients", "gradient_by_plane"),
    "PositionalShare": ("positional_share",),
    "RankCollapse": ("rank_collapse",),
}


def fit(run_dir: Path, *more: str) -> int:
    return main(["fit", "--config", QUICKSTART, *TINY, f"--run_dir={run_dir}", *more])


def numbers(run_dir: Path, figure: str) -> Any:
    assert (run_dir / "figures" / f"{figure}.png").stat().st_size > 1000
    return json.loads((run_dir / "figures" / f"{figure}.json").read_text())


@pytest.mark.slow
def test_all_of_them_together(tmp_path: Path) -> None:
    watching = [
        word
        for name in WATCHING
        for word in (f"--trainer.callbacks+={name}", "--trainer.callbacks.every_n_steps=2")
    ]
    run = tmp_path / "run"
    assert (
        fit(run, "--model.positional=Chain", "--model.positional.parts=[RoPE, ALiBi]", *watching)
        == 0
    )
    figures = {name: numbers(run, name) for names in WATCHING.values() for name in names}
    assert all(
        found["step"] == [0, 2, 4]
        for name, found in figures.items()
        if name not in ("attention_entropy", "gradient_by_plane")
    )
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for key in (
        "attn/entropy/layer_01/head_1",
        "attn/normalised_entropy/layer_00",
        "attn/distance/layer_01",
        "attn/sink/layer_01",
        "attn/max_logit/layer_01",
        "attn/offset_share/layer_01",
        "attn/similarity/layer_01",
        "order/swapped",
        "order/shuffled",
        "order/shifted",
        "order/zeroed",
        "pos_grad/layer_01/bias",
        "pos_grad/layer_01/transform",
        "pos_grad/layer_01/plane_03",
        "pos_grad/layer_02/residual",
        "pos_grad/layer_02/share",
        "pos_grad/positions",
        "pos_grad/positions_sum",
        "pos_share/layer_02",
        "probe/mae/layer_02",
        "probe/r2/layer_02",
        "rank/cosine/layer_02",
        "rank/effective/layer_02",
        "rank/residual/layer_02",
    ):
        logged = [(int(row["step"]), float(row[key])) for row in rows if row[key]]
        assert [step for step, _ in logged] == [0, 2, 4], key
    shift_invariant = [
        float(row["pos_grad/positions_sum"]) for row in rows if row["pos_grad/positions_sum"]
    ]
    assert max(map(abs, shift_invariant)) < 1e-3
    assert numbers(run, "attention_entropy")["layer_01"] == pytest.approx(
        [
            figures["attention_statistics"][f"attn/entropy/layer_01/head_{head}"][-1]
            for head in (0, 1)
        ],
        rel=1e-4,
    )


def test_length_generalization(tmp_path: Path) -> None:
    run = tmp_path / "run"
    lengths = ["--data.train_length=[8, 16]", "--data.eval_lengths=[8, 16, 24]"]
    assert fit(run, "--trainer.callbacks+=LengthGeneralization", *lengths) == 0
    found = numbers(run, "length_generalization")
    metrics = json.loads((run / "summary.json").read_text())["metrics"]
    assert found["score"] == {
        str(length): pytest.approx(metrics[f"test/acc/len_{length}"]) for length in (8, 16, 24)
    }
    assert found["trained_lengths"] == [8, 16]
    assert found["wanted_score"] == pytest.approx(
        0.9 * (metrics["test/acc/len_8"] + metrics["test/acc/len_16"]) / 2
    )
    good = [
        length for length in (8, 16, 24) if found["score"][str(length)] >= found["wanted_score"]
    ]
    trained = [metrics[f"test/acc/len_{length}"] for length in (8, 16)]
    bound = sum(found["bag_of_tokens_bound"][str(length)] for length in (8, 16)) / 2
    assert found["learned"] is (sum(trained) / 2 - bound > 0.1 * (1 - bound))
    expected = max(good) if found["learned"] else None  # F-H
    assert found["effective_length"] == metrics["test/effective_length"] == expected
    assert len(found["accuracy_by_position"]["24"]) == 24
    accuracy = numbers(run, "accuracy")["accuracy_by_position"]
    assert found["accuracy_by_position"] == accuracy


def test_an_unknown_metric_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--trainer.callbacks+=LengthGeneralization", "--trainer.callbacks.metric=f1"]
    assert fit(tmp_path / "run", *more) == 2
    assert "metric=f1: SequenceClassifier has loss, acc" in capsys.readouterr().err
