"""Scores that an accuracy hides, against scikit-learn and the rules of `conlleval`."""

import json
import math
import random
from pathlib import Path

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score
from torchmetrics.classification import MulticlassStatScores

from lightning_posenc.cli import main
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import TokenClassifier
from lightning_posenc.modules.class_scores import class_scores
from lightning_posenc.modules.entity_f1 import EntityF1, are_entities, entities, parse
from lightning_posenc.tasks import IGNORE

CONFIGS = Path(__file__).parents[2] / "configs"


def scores(predictions: torch.Tensor, targets: torch.Tensor, n_classes: int) -> dict[str, float]:
    counts = MulticlassStatScores(n_classes, average=None, ignore_index=IGNORE)
    counts.update(predictions, targets)
    return {name: float(value) for name, value in class_scores(counts.compute()).items()}


@pytest.mark.parametrize("n_classes", [2, 5, 40])
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_scores_are_scikit_learns(n_classes: int) -> None:
    """C4: classes that never occur, or are never said, count as there."""
    dice = torch.Generator().manual_seed(n_classes)
    for n in (25, 400):
        weights = torch.rand(n_classes, generator=dice) ** 4 + 1e-3
        targets = torch.multinomial(weights, n, replacement=True, generator=dice)
        noise = torch.randint(n_classes, (n,), generator=dice)
        predictions = torch.where(torch.rand(n, generator=dice) < 0.6, targets, noise)
        padded = torch.cat([targets, torch.full((7,), IGNORE)])
        found = scores(torch.cat([predictions, noise[:1].expand(7)]), padded, n_classes)
        assert found["f1_macro"] == pytest.approx(f1_score(targets, predictions, average="macro"))
        balanced = balanced_accuracy_score(targets, predictions)
        assert found["acc_balanced"] == pytest.approx(balanced)
        most = targets.bincount().max().item() / n
        assert found["majority"] == pytest.approx(most)


def test_always_the_same_class_is_seen_through() -> None:
    """C4: accuracy .982 where one class is always said: macro F1 .496, balanced .5."""
    targets = torch.tensor([0] * 982 + [1] * 18)
    found = scores(torch.zeros_like(targets), targets, 2)
    assert found["majority"] == pytest.approx(0.982)
    assert found["f1_macro"] == pytest.approx(0.4955, abs=1e-4)
    assert found["acc_balanced"] == 0.5


def test_nothing_scored_is_no_score() -> None:
    targets = torch.full((4,), IGNORE)
    assert all(value != value for value in scores(torch.zeros_like(targets), targets, 3).values())


def conlleval(tags: list[str]) -> set[tuple[str, int, int]]:
    """The rules of CoNLL's script, as its two subroutines list them."""
    ends = {"BB", "BO", "IB", "IO", "EB", "EE", "EI", "EO"}  # of the places before and now
    starts = {"EE", "EI", "OE", "OI"}
    found, start = set(), 0
    before, kind_before = "O", ""
    for place, tag in enumerate([*tags, "O"]):
        now, _, kind = tag.partition("-")
        # S is an entity of its own: it ends what is before it, and itself.
        alone = now == "S" or before == "S"
        if before != "O" and (alone or before + now in ends or kind_before != kind):
            found.add((kind_before, start, place))
        if (
            now in ("B", "S")
            or before + now in starts
            or (alone and now != "O")
            or (now != "O" and kind != kind_before)
        ):
            start = place
        before, kind_before = now, kind
    return found


def test_entities_are_read_as_conlleval_reads_them() -> None:
    dice = random.Random(0)
    names = ["O", *(f"{place}-{kind}" for place in "BIES" for kind in ("PER", "LOC"))]
    for _ in range(3000):
        tags = [dice.choice(names) for _ in range(dice.randint(0, 7))]
        read = entities([parse(tag) or ("O", "") for tag in tags])
        assert read == conlleval(tags), tags


def test_the_f1_of_entities() -> None:
    """C4: accuracy counts words, of which most are O."""
    names = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]
    metric = EntityF1(names)
    number = {name: n for n, name in enumerate(names)}

    def ids(words: str) -> list[int]:
        return [number[word] if word != "_" else IGNORE for word in words.split()]

    true = ["B-PER I-PER O B-LOC O", "O O B-LOC _ _"]
    said = ["B-PER I-PER O B-PER O", "B-LOC O O O O"]
    targets = torch.tensor([ids(line) for line in true])
    metric.update(torch.tensor([ids(line) for line in said]), targets)
    # One of three is right, three are said.
    assert metric.compute().item() == pytest.approx(1 / 3)
    metric.reset()
    metric.update(torch.full_like(targets, number["O"]), targets)
    assert metric.compute().item() == 0  # all O: accuracy .625


@pytest.mark.parametrize(
    ("names", "are"),
    [
        (["B-PER", "I-PER", "O"], True),
        (["O", "S-a-b", "U-x", "L-x"], True),
        (["DT", "NN"], False),
        (["B-PER", "NN"], False),
        (["O"], False),
        (["B-", "O"], False),
        (None, False),
    ],
)
def test_which_classes_are_tags_of_entities(names: list[str] | None, are: bool) -> None:
    assert are_entities(names) is are


def test_a_classifier_without_a_trainer_has_its_metrics() -> None:
    model = TokenClassifier(EncoderSpec(16, 2, 1), vocab_size=5, n_classes=3)
    assert set(model.new_metrics()) == {"acc", "exact", "class_counts"}


def metrics_of(run: Path) -> dict[str, float]:
    return json.loads((run / "summary.json").read_text())["metrics"]


def fit(run: Path, config: str, *more: str) -> int:
    small = ["--trainer.max_steps=2", "--trainer.max_epochs=1", "--trainer.logger=false"]
    small += ["--model.encoder={d_model: 16, n_heads: 2, n_layers: 1}", "--data.batch_size=2"]
    small += ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
    return main(["fit", "--config", str(CONFIGS / config), f"--run_dir={run}", *small, *more])


@pytest.mark.slow
def test_a_tagger_is_scored_by_entities_and_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """C4: all of it in the summary and in the results' table, with a word on what is unbalanced."""
    sentence = "Ada B-PER\nLovelace I-PER\n" + "wrote O\n" * 12 + "\n"
    (tmp_path / "train.conll").write_text(sentence * 4)
    data = [f"--data.{which}path={tmp_path / 'train.conll'}" for which in ("", "val_", "test_")]
    assert fit(tmp_path / "run", "tagging.yaml", *data, "--data.train_length=16") == 0
    found = metrics_of(tmp_path / "run")
    assert found["val/majority"] == found["test/majority/len_16"] == pytest.approx(12 / 14)
    for name in ("entity_f1", "f1_macro", "acc_balanced", "acc", "exact"):
        assert 0 <= found[f"val/{name}"] <= 1
        assert 0 <= found[f"test/{name}/len_16"] <= 1
    assert not [key for key in found if "class_counts" in key]
    printed = capsys.readouterr().out
    assert "beware: 85.7% of the targets are of one class" in printed
    assert "entity_f1" in printed


@pytest.mark.parametrize("vocabulary", ["bytes", "chars"])
@pytest.mark.slow
def test_a_language_model_tells_bits_per_byte(tmp_path: Path, vocabulary: str) -> None:
    """C3."""
    (tmp_path / "a.txt").write_text("ÄÖ" * 200)
    options = [f"--data.path={tmp_path / 'a.txt'}", f"--data.vocabulary={vocabulary}"]
    options += ["--data.train_length=8", "--data.steps_per_epoch=2"]
    assert fit(tmp_path / "run", "text_offline.yaml", *options) == 0
    found = metrics_of(tmp_path / "run")
    size = {"bytes": 1, "chars": 2}[vocabulary]
    for place in ("val/{}", "test/{}/len_8"):
        expected = found[place.format("loss")] / math.log(2) / size
        assert found[place.format("bits_per_byte")] == pytest.approx(expected, rel=1e-5)
