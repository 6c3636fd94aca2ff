"""Scores that people know from elsewhere, against the libraries that they know them from."""

import math
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score as seqeval_f1
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F
from torchmetrics.classification import MulticlassStatScores

from lightning_posenc.callbacks.results.class_table import rows_of
from lightning_posenc.data import SyntheticData, TextClassificationData
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import SequenceClassifier
from lightning_posenc.modules.calibration import Calibration
from lightning_posenc.modules.class_scores import class_scores
from lightning_posenc.modules.class_weights import ClassWeights
from lightning_posenc.modules.entity_f1 import EntityF1
from lightning_posenc.modules.language_metrics import with_perplexity
from lightning_posenc.modules.loss import cross_entropy
from lightning_posenc.modules.target_bytes import BYTES, TargetBytes
from lightning_posenc.tasks import IGNORE

TAGS = ["O", *(f"{place}-{kind}" for place in "BIES" for kind in ("PER", "LOC"))]
SPEC = EncoderSpec(d_model=16, n_heads=2, n_layers=1)


def sentences(tags: list[str]) -> Any:
    pairs = st.lists(st.tuples(st.sampled_from(tags), st.sampled_from(tags)), min_size=1)
    return st.lists(pairs, min_size=1, max_size=4)


@settings(deadline=None, max_examples=150)
@given(st.one_of(sentences(TAGS[:5]), sentences(TAGS)))
@pytest.mark.filterwarnings("ignore")  # seqeval's and NumPy's, where there are no entities
def test_entity_f1_is_seqevals(pairs: list[list[tuple[str, str]]]) -> None:
    """Any sequence of tags, also such as no tagger should say."""
    metric = EntityF1(TAGS)
    number = {tag: n for n, tag in enumerate(TAGS)}
    for sentence in pairs:
        said, true = (torch.tensor([[number[pair[side]] for pair in sentence]]) for side in (0, 1))
        pad = torch.full((1, 2), IGNORE)
        metric.update(F.pad(said, (0, 2)), torch.cat([true, pad], dim=1))
    said_, true_ = ([[pair[side] for pair in each] for each in pairs] for side in (0, 1))
    found = float(metric.compute())
    if math.isnan(found):
        assert all(tag == "O" for each in (*said_, *true_) for tag in each)
    else:
        assert found == pytest.approx(seqeval_f1(true_, said_), abs=1e-6)


@settings(deadline=None, max_examples=80)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
@pytest.mark.filterwarnings("ignore")  # scikit-learn's, on classes that never occur
def test_scores_of_classes_are_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    """Ties, and classes that nobody says or that never occur, included."""
    said, true = torch.tensor(pairs).unbind(1)
    counts = MulticlassStatScores(5, average=None)
    counts.update(said, true)
    found = class_scores(counts.compute())["f1_macro"]
    assert float(found) == pytest.approx(f1_score(true, said, average="macro"), abs=1e-6)
    table = confusion_matrix(true, said, labels=range(5))
    rows = rows_of(torch.tensor(table), [*"abcde"])
    theirs = precision_recall_fscore_support(true, said, labels=range(5), zero_division=np.nan)
    for row, precision, recall, f1, n in zip(rows, *theirs, strict=True):
        assert row["n"] == n
        for name, value in (("precision", precision), ("recall", recall)):
            assert (row[name] is None) == math.isnan(value)
            assert row[name] is None or row[name] == pytest.approx(value, abs=1e-6)
        if row["F1"] is not None:
            assert row["F1"] == pytest.approx(0 if math.isnan(f1) else f1, abs=1e-6)
    others = table[0].copy()
    others[0] = 0
    assert rows[0]["taken for"] == (
        f"{'abcde'[others.argmax()]} ({others.max()})" if others.any() else ""
    )


def test_calibration_is_a_hand_computation() -> None:
    """Two bins: sure of .9 and right in 2 of 3; sure of .6 and never right."""
    sure = torch.tensor([0.9, 0.9, 0.9, 0.6])
    logits = torch.stack([sure, 1 - sure], dim=1).log()
    targets = torch.tensor([0, 0, 1, 1])
    metric = Calibration(2)
    metric.update(logits[:2], targets[:2])
    metric.update(
        torch.cat([logits[2:], logits[:1]])[None],
        torch.tensor([[1, 1, IGNORE]]),
    )
    assert float(metric.compute()) == pytest.approx(3 / 4 * (0.9 - 2 / 3) + 1 / 4 * 0.6)
    metric.reset()
    metric.update(logits[:1], torch.tensor([IGNORE]))
    assert math.isnan(float(metric.compute()))


def test_bits_per_byte_by_hand() -> None:
    metric = TargetBytes(np.array([1, 2, 4]))
    metric.update(torch.zeros(1, 4), torch.tensor([[0, 1, 2, IGNORE]]))
    values = with_perplexity({"loss": torch.tensor(1.4), BYTES: metric.compute()})
    assert float(values["bits_per_byte"]) == pytest.approx(1.4 * 3 / 7 / math.log(2))
    assert float(values["perplexity"]) == pytest.approx(math.exp(1.4))


def test_balanced_weights_are_scikit_learns(tmp_path: Path) -> None:
    labels = ["a"] * 30 + ["b"] * 8 + ["c"] * 4
    random.Random(0).shuffle(labels)
    path = tmp_path / "x.csv"
    path.write_text("text,label\n" + "".join(f"some text,{label}\n" for label in labels))
    data = TextClassificationData(str(path), train_length=8)
    data.prepare_data()
    data.setup("fit")
    trained = data.training_classes()
    assert trained is not None
    weights = ClassWeights("balanced", 3)
    assert weights.on(torch.device("cpu")) is None
    weights.count(data)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=trained.numpy())
    found = weights.on(torch.device("cpu"))
    assert found is not None
    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-6)
    assert float(found[trained].mean()) == pytest.approx(1)


def test_weights_count_in_training_alone() -> None:
    data = SyntheticData(train_length=8)
    torch.manual_seed(0)
    plain = SequenceClassifier(SPEC, data.vocab_size, data.n_classes)
    weighted = SequenceClassifier(
        SPEC, data.vocab_size, data.n_classes, class_weights=[1, 0, 2, 0.5], label_smoothing=0.1
    )
    weighted.load_state_dict(plain.state_dict())  # no checkpoint changes
    batch = data._dataset("train", 8).__getitems__([*range(16)])
    each = F.cross_entropy(
        plain(batch).detach(), batch.targets, reduction="none", label_smoothing=0.1
    )
    expected = (each * torch.tensor([1, 0, 2, 0.5])[batch.targets]).mean()
    assert float(weighted.train().score(batch, 0)[0].detach()) == pytest.approx(
        float(expected), rel=1e-5
    )
    assert torch.equal(weighted.eval().score(batch, 0)[0], plain.eval().score(batch, 0)[0])
    with pytest.raises(ValueError, match="SyntheticData does not say which classes"):
        ClassWeights("balanced", 4).count(data)
    for given_, said in (([1, 2], "4"), ([0] * 4, "not all be 0"), ("even", "be balanced, or")):
        with pytest.raises(ValueError, match=said):
            ClassWeights(given_, 4)
    nothing = cross_entropy(torch.ones(2, 3), torch.full((2,), IGNORE), weights=torch.ones(3))
    assert float(nothing) == 0


def test_classes_that_training_never_sees_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "train.csv").write_text("text,label\n" + "x,a\ny,b\n" * 3)
    (folder / "validation.csv").write_text("text,label\nx,a\nz,odd\n")
    data = TextClassificationData(str(folder), train_length=8)
    data.prepare_data()
    data.setup("fit")
    assert "validation has classes that no training item has: odd" in capsys.readouterr().err


def test_a_picture_of_what_is_taken_for_what(tmp_path: Path) -> None:
    from lightning_posenc.callbacks import ClassTable
    from lightning_posenc.data.batch import Batch

    data = SimpleNamespace(class_names=["$a", "[b]"], eval_lengths=[8])
    trainer: Any = SimpleNamespace(
        datamodule=data, default_root_dir=str(tmp_path), loggers=[], is_global_zero=True,
        global_step=1,
    )  # fmt: skip
    module = SequenceClassifier(SPEC, 5, 2)
    module.test_length = lambda batch, n: 8  # type: ignore[method-assign]
    table = ClassTable()
    table.on_test_start(trainer, module)
    targets = torch.tensor([0, 1, 1, IGNORE])
    batch = Batch(torch.zeros(4, 3), targets)
    table.on_test_batch_end(trainer, module, torch.tensor([0, 0, 1, 1]), batch, 0)
    table.on_test_end(trainer, module)
    import json

    told = json.loads((tmp_path / "figures" / "classes.json").read_text())
    assert told["counts"]["8"] == [[1, 0], [1, 1]]
    assert told["scores"]["8"][1]["taken for"] == "$a (1)"
    assert (tmp_path / "figures" / "classes.png").stat().st_size > 1000
