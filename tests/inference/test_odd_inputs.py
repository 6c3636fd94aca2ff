"""What is no input is refused in a line; what a terminal would obey is shown."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_posenc import Predictor
from lightning_posenc.callbacks.results import class_table
from lightning_posenc.data import SyntheticData
from lightning_posenc.data.saying import say
from lightning_posenc.inference import command
from lightning_posenc.inference.placing import device_of
from lightning_posenc.mistakes.escaping import json_of
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import SequenceClassifier
from lightning_posenc.runs.tables import log_table
from tests.inference.conftest import language_model

FRAME = pd.DataFrame({"text": ["glad"]})
NONE: list[Any] = [None, 3, b"glad", {"text": "glad"}, {"glad"}, FRAME, torch.tensor(3)]
OBEYED = "\x1b[31mred\x9b0m\u202e"


@pytest.mark.parametrize("given", NONE)
def test_what_is_no_input_is_refused_by_all_that_ask(
    given: Any, classifier: Predictor, tagger: Predictor, tmp_path: Path
) -> None:
    writer = language_model(tmp_path / "text.txt")
    for ask in (classifier, tagger, writer, writer.generate, writer.score):
        with pytest.raises(ValueError, match="is no input: give"):
            ask(given)


def test_collections_of_inputs_are_lists(classifier: Predictor, tagger: Predictor) -> None:
    said = classifier(["glad", "awful"])
    for several in (pd.Series(["glad", "awful"], index=[7, 8]), np.array(["glad", "awful"])):
        assert classifier(several) == said
    assert tagger([np.array(["Anna", "sings"], object)]) == tagger([["Anna", "sings"]])


def test_tokens_come_in_arrays_of_numbers_or_of_texts() -> None:
    data = SyntheticData(train_length=8)
    model = Predictor(
        SequenceClassifier(EncoderSpec(d_model=16, n_heads=2), data.vocab_size, data.n_classes),
        data, device="cpu",
    )  # fmt: skip
    one = model([1, 2])
    assert model(np.array([1, 2])) == model("1 2") == model(range(1, 3)) == one
    assert model(np.array(["1 2"])) == model(iter([[1, 2]])) == model(pd.Series([[1, 2]])) == [one]
    with pytest.raises(ValueError, match="is no input: give token ids"):
        model(torch.tensor(3))
    with pytest.raises(ValueError, match="no token: give a number up to"):
        model("9" * 5000)


def test_which_of_many_inputs_is_wrong_is_told(classifier: Predictor) -> None:
    with pytest.raises(ValueError, match="input 2, counted from 0: float is no text"):
        classifier(["glad", "awful", float("nan")])


def test_half_characters_are_no_text(classifier: Predictor, tmp_path: Path) -> None:
    for model in (classifier, language_model(tmp_path / "text.txt")):
        with pytest.raises(ValueError, match=r"holds '\\ud800', half a character"):
            model("\ud800")


def test_a_language_model_cuts_no_prompt(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"max_length=3: .* reads a text whole"):
        language_model(tmp_path / "text.txt")("The quick", max_length=3)


@pytest.mark.parametrize("name", ["meta", "xla", "nonsense", "", "cuda:99"])
def test_a_device_that_is_not_there_is_told_in_a_line(name: str) -> None:
    with pytest.raises(ValueError, match=f"^device={name}: there is none here: give cpu") as told:
        device_of(name)
    assert len(str(told.value)) < 200


def test_standard_input_is_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = SimpleNamespace(buffer=io.BytesIO("né\r\n\n".encode() + b"\xff\x00"))
    monkeypatch.setattr("sys.stdin", stdin)
    lines = command._lines_of_stdin()
    assert [next(lines), next(lines)] == ["né", ""]
    with pytest.raises(ValueError, match="--text -: line 3 is not UTF-8"):
        next(lines)


def test_a_terminal_obeys_neither_texts_nor_labels(
    classifier: Predictor, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier.data.class_names[:] = [f"{OBEYED}{n}" for n in range(2)]
    found = [(OBEYED, classifier(OBEYED))]
    command._print_table(classifier, found)
    command._print_json(classifier, found)
    class_table._print(class_table.rows_of(torch.ones(2, 2, dtype=int), classifier.labels or []))
    print(classifier)
    say(OBEYED)
    said = "".join(capsys.readouterr())
    assert not set("\x1b\x9b\u202e") & set(said)
    assert said.count(r"\x1b[31mred") >= 7
    assert json_of('"\x9b"') == r'"\u009b"'


def test_a_table_of_tensorboard_has_a_line_for_each_row() -> None:
    told: list[str] = []
    experiment = SimpleNamespace(add_text=lambda name, text, step: told.append(text))
    trainer = SimpleNamespace(
        is_global_zero=True, loggers=[SimpleNamespace(experiment=experiment)], global_step=0
    )
    log_table(trainer, "classes", ["class"], [["a\nb | <script>"]])  # type: ignore[arg-type]
    assert told == ["| class |\n| --- |\n| a b \\| &lt;script> |"]
