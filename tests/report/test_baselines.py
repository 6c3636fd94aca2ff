"""What a score is compared with: guessing, and tokens of other vocabularies."""

import json
from pathlib import Path
from typing import Any

import pytest

from lightning_posenc.cli import main
from lightning_posenc.report import baselines, findings, lengths, metrics, panels
from lightning_posenc.report.results import compare
from tests.report.made_runs import class_of, config, write
from tests.report.test_results import REVERSE, study_of

LENGTHS = (10, 20, 30, 40)


def add(directory: Path, **values: dict[int, float]) -> None:
    """Add test metrics by length to a run."""
    path = directory / "summary.json"
    summary = json.loads(path.read_text())
    for name, by_length in values.items():
        for length, value in by_length.items():
            summary["metrics"][f"test/{name}/len_{length}"] = value
    path.write_text(json.dumps(summary))


def runs(root: Path, rows: dict[str, dict[int, float]], **more: dict[int, float]) -> Path:
    for name, scores in rows.items():
        for seed in range(2):
            made = config(class_of("positional", name), REVERSE, seed)
            add(write(root / f"{name}-{seed}", made, scores), **more)
    return root


def test_who_has_learned_nothing_has_no_effective_length(tmp_path: Path) -> None:
    """F-H: a model at the bound keeps its score at any length, and was ranked above the solved."""
    rows = {
        "ALiBi": dict.fromkeys(LENGTHS, 0.21),
        "LearnedAbsolute": {10: 1.0, 20: 1.0, 30: 0.4, 40: 0.2},
    }
    bound = {10: 0.25, 20: 0.2, 30: 0.15, 40: 0.1}
    study = study_of(runs(tmp_path, rows, acc_without_order=bound))
    found = lengths.reaches(study, study.metric)
    assert str(found["ALiBi", "Reverse"]) == "nothing learned"
    assert str(found["LearnedAbsolute", "Reverse"]) == "20"
    assert (
        str(lengths.LengthsReached([lengths.NOTHING, 20, 20], 40)) == "20 (nothing learned to 20)"
    )


def test_the_most_frequent_class_bounds_where_order_is_not_judged(tmp_path: Path) -> None:
    rows = {"ALiBi": dict.fromkeys(LENGTHS, 0.91)}
    study = study_of(runs(tmp_path, rows, majority=dict.fromkeys(LENGTHS, 0.905)))
    assert str(lengths.reaches(study, study.metric)["ALiBi", "Reverse"]) == "nothing learned"


def test_baselines_stand_beside_the_score(tmp_path: Path) -> None:
    """C4, and the bound line: in the caption, the picture and its numbers, and never as a score."""
    bound, common = {10: 0.25, 20: 0.2, 30: 0.15, 40: 0.1}, dict.fromkeys(LENGTHS, 0.0625)
    root = runs(
        tmp_path / "runs", {"ALiBi": {10: 1.0, 20: 0.9, 30: 0.8, 40: 0.7}},
        acc_without_order=bound, majority=common,
    )  # fmt: skip
    study = study_of(root)
    assert study.metric.key == "test/acc/len_trained"
    caption = findings.results_section(study, compare(study)).caption
    assert (
        "To compare with: without order, at best: 0.200 on Reverse; always the most frequent "
        "class: 0.062 on Reverse."
    ) in caption
    (panel,) = panels.by_test_length(study, "acc")
    assert panel.bounds == {
        "without order, at best": bound, "always the most frequent class": common,
    }  # fmt: skip
    assert main(["report", str(root), f"--out={tmp_path / 'out'}"]) == 0
    drawn = json.loads((tmp_path / "out" / "figures" / "lengths_reverse.json").read_text())
    assert drawn["bounds"]["without order, at best"]["20"] == 0.2


def test_one_class_for_nearly_all_is_said(tmp_path: Path) -> None:
    rows = {"ALiBi": dict.fromkeys(LENGTHS, 0.99)}
    study = study_of(runs(tmp_path, rows, majority=dict.fromkeys(LENGTHS, 0.982)))
    assert any("98.2% of the targets are of one class" in line for line in study.notices)
    f1 = study_of(tmp_path, metric="test/loss/len_trained")
    assert not any("of one class" in line for line in f1.notices)


def language_model(root: Path, name: str, vocabulary: str, loss: float, bits: float | None) -> None:
    for seed in range(3):
        made = config(class_of("positional", "RoPE"), REVERSE, seed, train_length=20)
        made["model"]["class_path"] = "lightning_posenc.modules.LanguageModel"
        made["data"] = class_of(
            "data", "TextData", path="a.txt", vocabulary=vocabulary, vocabulary_size=4096,
            train_length=20,
        )  # fmt: skip
        directory = write(root / f"{name}-{seed}", made, {20: 0.3})
        more: dict[str, Any] = {"perplexity": {20: loss + seed / 100}}
        if bits is not None:
            more["bits_per_byte"] = {20: bits + seed / 100}
        add(directory, **more)


def test_bits_per_byte_compare_vocabularies(tmp_path: Path) -> None:
    """C3: bytes at a perplexity of 8.4 were said to lead pieces at 294."""
    language_model(tmp_path, "a", "bytes", 8.40, 3.07)
    language_model(tmp_path, "b", "bpe", 294.1, 2.77)
    by = (("data.vocabulary",),)
    study = study_of(tmp_path, by=by)
    assert study.metric == ("test/bits_per_byte/len_trained", False)
    results = compare(study)
    assert (
        results.leaders["a.txt"].best == "vocabulary=bpe" or "bpe" in results.leaders["a.txt"].best
    )
    assert not any("counts by token" in line for line in study.notices)
    for metric in ("test/perplexity/len_trained", "test/loss/len_20", "val/loss", "val/acc"):
        refused = study_of(tmp_path, by=by, metric=metric)
        assert baselines.different_vocabularies(refused)
        assert compare(refused).leaders == {}
        assert compare(refused).comparisons == []
        assert any("counts by token" in line for line in refused.notices)


def test_one_vocabulary_is_compared_by_perplexity(tmp_path: Path) -> None:
    language_model(tmp_path, "a", "bytes", 8.40, 3.07)
    study = study_of(tmp_path)
    assert study.metric.key == "test/perplexity/len_trained"
    assert baselines.different_vocabularies(study) is None
    old = tmp_path / "old"
    language_model(old, "a", "bytes", 8.40, None)
    language_model(old, "b", "bpe", 294.1, None)
    by = (("data.vocabulary",),)
    assert "counts by token" in " ".join(study_of(old, by=by).notices)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"data.train_length": 8}, (8, 8)),
        ({"data.train_length": [8, 16]}, (8, 16)),
        ({"data.train_length": "Mixed", "data.train_length.weights.8": 1,
          "data.train_length.weights.16": 0, "data.train_length.weights.32": 0.5}, (8, 32)),
        ({"data.train_length": "UniformLengths", "data.train_length.low": 1,
          "data.train_length.high": 20}, (1, 20)),
        ({"data.train_length": "Mixed", "data.train_length.weights.8": "much"}, None),
        ({"data.train_length": ["a", 3]}, None),
        ({"data.train_length": []}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_trained_lengths(keys: dict[str, Any], expected: tuple[int, int] | None) -> None:
    """Odd ones are unknown, and no end of a report (B25)."""
    assert metrics.trained(keys) == expected
