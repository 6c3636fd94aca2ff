"""What a loaded model answers is what its module says of the batches that its data makes."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lightning_posenc.data import ImageData, PairData, SyntheticData, TextPairData, ToneData
from lightning_posenc.data.batch import Batch
from lightning_posenc.inference.predictor import Predictor
from lightning_posenc.model.inputs import Frames, Patches
from lightning_posenc.modules import (
    CTCModel,
    ImageClassifier,
    SequenceClassifier,
    SequenceToSequence,
    TokenClassifier,
)
from lightning_posenc.tasks import Addition, GridLookup, Reverse
from tests.inference.conftest import SPEC, TEXTS, language_model


def test_a_class_is_told_by_name_as_the_data_reads_texts(classifier: Predictor) -> None:
    data = classifier.data
    data.prepare_data()
    data.setup("predict")
    batch = data._dataset("predict", 16).__getitems__([0, 1, 2])
    shares = classifier.module.logits(batch).softmax(dim=-1)
    found = classifier(["I am so happy", "so mad", "glad"])
    for row, answer in zip(shares, found, strict=True):
        assert [*answer["probabilities"]] == ["anger", "joy"]
        assert [*answer["probabilities"].values()] == pytest.approx(row.tolist(), abs=2e-6)
        assert answer["label"] == ["anger", "joy"][int(row.argmax())]
        assert answer["score"] == max(answer["probabilities"].values())


def test_batches_change_no_answer_and_order_is_kept(classifier: Predictor) -> None:
    alone = [classifier(text) for text in TEXTS]
    for batch_size in (1, 2, 32):
        together = classifier(TEXTS, batch_size=batch_size)
        for one, other in zip(alone, together, strict=True):
            assert one["label"] == other["label"]
            assert one["score"] == pytest.approx(other["score"], abs=2e-6)
    assert classifier(iter(TEXTS)) == classifier(TEXTS)
    assert classifier([]) == []


def test_a_cut_text_is_said(classifier: Predictor, capsys: pytest.CaptureFixture[str]) -> None:
    classifier(["x" * 20, "y" * 10])
    assert "1 of 2 texts cut at 16 tokens: 4 of 30" in capsys.readouterr().err
    assert classifier("x" * 20) == classifier("x" * 16 + "y" * 4)
    assert classifier("x" * 20, max_length=20) != classifier("x" * 16 + "y" * 4, max_length=20)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (3, "int is no input: give a text; or several in a list"),
        ([3], "int is no text: give a str"),
        ({"text": "a"}, "dict is no input"),
        ([None], "NoneType is no text"),
    ],
)
def test_what_is_no_input_is_refused(classifier: Predictor, given: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        classifier(given)


def test_what_a_model_cannot_do_is_said(classifier: Predictor) -> None:
    with pytest.raises(ValueError, match="this is a SequenceClassifier: call it with a text"):
        classifier.generate("x")
    with pytest.raises(ValueError, match="causal language models, and this is a SequenceClass"):
        classifier.score("x")
    with pytest.raises(ValueError, match="temperature: for a language model"):
        classifier("x", temperature=1)
    with pytest.raises(ValueError, match="no such precision: did you mean bf16-true"):
        Predictor(classifier.module, precision="bf16-ture")
    with pytest.raises(ValueError, match="device=nowhere"):
        Predictor(classifier.module, device="nowhere")
    with pytest.raises(ValueError, match="Linear is no module of lightning_posenc"):
        Predictor(torch.nn.Linear(1, 1))


def test_tags_stand_beside_words_and_make_entities(tagger: Predictor) -> None:
    sentence = "Anna lives in New York"
    found = tagger(sentence)
    assert found == tagger([sentence.split()])[0]
    assert found["words"] == sentence.split()
    assert found["tags"][-1] is None, "the fifth word lies beyond the length"
    ids = torch.tensor([tagger.data.tokens_of(sentence.split())[0][:4]])
    best = tagger.module.logits(Batch(ids, ids)).argmax(-1)[0].tolist()
    assert found["tags"][:4] == [tagger.data.class_names[n] for n in best]
    head = tagger.module.head
    torch.nn.init.zeros_(head.weight)
    head.bias.data = F.one_hot(torch.tensor(tagger.labels.index("B-LOC")), 4).float() * 9
    entities = tagger("New York")["entities"]
    assert [(e["entity"], e["text"], e["start"], e["end"]) for e in entities] == [
        ("LOC", "New", 0, 1), ("LOC", "York", 1, 2),
    ]  # fmt: skip


@pytest.mark.parametrize("vocabulary", ["bytes", "chars", "bpe"])
def test_pieces_of_a_stream_are_the_text(tmp_path: Path, vocabulary: str) -> None:
    model = language_model(tmp_path / "t.txt", vocabulary=vocabulary, vocabulary_size=270)
    how = {"max_new_tokens": 40, "temperature": 1.2, "top_k": 100, "seed": 3}
    said = model.generate("The quick", **how)
    assert "".join(model.stream("The quick", **how)) == said
    assert model.generate(["brown", "The quick"], **how)[1] != said, "drawn by its place"
    assert model.generate(["The quick", "b"], **how)[0] == said
    both = model.generate(["The quick", "b"], batch_size=1, **how)
    assert both == model.generate(["The quick", "b"], **how)
    assert model("The quick", **how) == {"text": "The quick" + said}
    greedy = {"max_new_tokens": 5, "temperature": 0}
    assert model.generate("The", **greedy) == model.generate("The", **greedy, seed=9)
    with pytest.raises(ValueError, match="no option top_q"):
        model.generate("The", top_q=1)
    with pytest.raises(ValueError, match="empty text"):
        model.generate("")


def test_score_is_what_a_loop_says(tmp_path: Path) -> None:
    model = language_model(tmp_path / "t.txt")
    text = "Pack my box with five dozen liquor jugs, naïve ones."
    ids = torch.tensor([*text.encode()])
    total = 0.0
    for n in range(1, len(ids)):
        start = (n - 1) // 16 * 16
        with torch.no_grad():
            logits = model.module(ids[None, start:n])[0, -1].double()
        total -= float(logits.log_softmax(-1)[ids[n]])
    found = model.score(text)
    assert found["tokens"] == found["bytes"] == len(ids) - 1
    assert found["bits_per_byte"] == pytest.approx(total / found["bytes"] / math.log(2), rel=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(found["loss"]))
    with pytest.raises(ValueError, match="a text of 1 tokens"):
        model.score("x")


def test_bits_per_byte_do_not_depend_on_how_text_is_cut(tmp_path: Path) -> None:
    """A model that knows nothing needs log2(V) bits a token."""
    for vocabulary in ("bytes", "chars", "bpe"):
        model = language_model(tmp_path / "t.txt", vocabulary=vocabulary, vocabulary_size=280)
        torch.nn.init.zeros_(model.module.embedding.weight)
        text = "The lazy dog, naïvely"
        found = model.score(text)
        vocab = model.data.vocabulary
        n_bytes = len(text.encode()) - len(vocab.decode([int(vocab.encode(text)[0])]).encode())
        expected = found["tokens"] * math.log2(vocab.size) / n_bytes
        assert found["bits_per_byte"] == pytest.approx(expected, rel=1e-5)


def test_hidden_tokens_are_guessed(tmp_path: Path) -> None:
    model = language_model(tmp_path / "t.txt", objective="masked")
    found = model("[MASK]he d[MASK][MASK]g")
    assert [len(row) for row in found["guesses"]] == [5, 5, 5]
    ids = torch.tensor([[256, *b"he d", 256, 256, *b"g"]])
    shares = model.module(ids)[0, [0, 5, 6]].softmax(-1)
    best = [row[0] for row in found["guesses"]]
    assert [each["score"] for each in best] == pytest.approx(shares.amax(-1).tolist(), abs=2e-6)
    for text, said in (
        ("nothing", "write \\[MASK\\]"),
        ("x" * 20 + "[MASK]", "behind the first 16"),
    ):
        with pytest.raises(ValueError, match=said):
            model(text)


def test_images_are_read_as_the_data_reads_them() -> None:
    data = ImageData("digits", image_size=8)
    patches = {"patch_size": 4, "n_channels": 1}
    module = ImageClassifier(
        SPEC, None, data.n_classes, inputs=lambda dims, _: Patches(dims, **patches)
    )
    model = Predictor(module, data, device="cpu")
    held = data._images()["train"]
    batch = data._dataset("predict", 8).__getitems__([0])
    name, _ = data._items("predict")
    image = data._images()[name].pixels(0, None)
    assert len(held)
    shares = module.logits(batch).softmax(-1)[0]
    for given in (image, image[..., 0], torch.from_numpy(image).permute(2, 0, 1), [image][0]):
        found = model(given)
        assert [*found["probabilities"].values()] == pytest.approx(shares.tolist(), abs=2e-6)
    assert len(model([image, image])) == 2
    for given, said in (
        (image * 20, "give bytes, or floats from 0 to 1"),
        (np.zeros((2, 2, 4)), "is no image: give"),
        ("nowhere.png", "nowhere.png cannot be read"),
    ):
        with pytest.raises(ValueError, match=said):
            model(given)


def test_a_picture_in_a_file(tmp_path: Path) -> None:
    from PIL import Image

    data = ImageData("digits", image_size=8)
    module = ImageClassifier(
        SPEC, None, 10, inputs=lambda dims, _: Patches(dims, patch_size=4, n_channels=1)
    )
    model = Predictor(module, data, device="cpu")
    pixels = (np.arange(64).reshape(8, 8) * 4).astype(np.uint8)
    Image.fromarray(pixels).save(path := tmp_path / "a.png")
    assert model(path) == model(str(path)) == model(Image.open(path)) == model(pixels)


def test_recordings_are_heard(tmp_path: Path) -> None:
    import soundfile

    data = ToneData(train_length=2)
    module = CTCModel(
        SPEC, None, data.n_classes, inputs=lambda dims, _: Frames(dims, n_features=20)
    )
    model = Predictor(module, data, device="cpu")
    samples = np.sin(np.arange(6000) / 5).astype(np.float32)
    soundfile.write(path := tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    found = model(path)
    assert found == model(samples) == model([samples, samples[:3000]])[0]
    assert set(found) == {"text", "score"}
    soundfile.write(path, samples, 16000)
    for given, said in (
        (path, "has 16000 samples a second, and the model heard 8000"),
        (tmp_path / "no.wav", "there is no file"),
        (np.zeros((2, 2, 2)), "is no recording"),
        (np.full(9, np.nan), "NaN"),
    ):
        with pytest.raises(ValueError, match=said):
            model(given)


def test_tokens_of_tasks() -> None:
    data = SyntheticData(Reverse(), 6)
    module = TokenClassifier(SPEC, data.vocab_size, data.n_classes)
    model = Predictor(module, data, device="cpu")
    found = model([3, 1, 4])
    best = module(torch.tensor([[3, 1, 4]])).argmax(-1)[0].tolist()
    assert found["prediction"] == best
    assert model("3 1 4") == found == model(torch.tensor([3, 1, 4])) == model([[3, 1, 4]])[0]
    assert [len(each["scores"]) for each in model([[1, 2], [3]])] == [2, 1]
    for given, said in (
        ([10**6], "the model knows 0 to"),
        ("a", "is no token"),
        ([1.5], "no token"),
    ):
        with pytest.raises(ValueError, match=said):
            model(given)
    grid = SyntheticData(GridLookup(), 4)
    assert (
        Predictor(
            SequenceClassifier(SPEC, grid.vocab_size, grid.n_classes), grid, device="cpu"
        ).takes
        == "a Batch"
    )


def test_a_task_that_is_continued() -> None:
    data = SyntheticData(Addition(), 2)
    module = TokenClassifier(SPEC, data.vocab_size, data.n_classes, causal=True)
    model = Predictor(module, data, device="cpu")
    said = model.generate("1 2 + 3 4 =", max_new_tokens=4, temperature=0)
    assert len(said.split()) <= 4
    assert "<end>" not in said


def test_a_batch_can_be_given() -> None:
    data = PairData(Reverse(), train_length=4)
    module = SequenceToSequence(SPEC, data.vocab_size, data.n_classes, answer_length=5)
    model = Predictor(module, data, device="cpu")
    batch = data._dataset("test", 4).__getitems__([0, 1])
    found = model(batch)
    assert found == model(batch.tokens.tolist())
    written = module.write(batch)
    assert [each["text"] for each in found] == [data.printed_answer(a) for a in written.answers()]


def test_texts_are_translated(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("source,target\nab,ba\ncd,dc\n")
    data = TextPairData(str(path), train_length=8)
    module = SequenceToSequence(SPEC, data.vocab_size, data.n_classes, answer_length=4)
    model = Predictor(module, data, device="cpu")
    assert isinstance(model("ab")["text"], str)
    with pytest.raises(ValueError, match="it writes"):
        model.generate("ab")


def test_precision_and_its_name(classifier: Predictor) -> None:
    exact = classifier("so mad")
    mixed = Predictor(classifier.module, classifier.data, device="cpu", precision="bf16")
    assert mixed.precision == "bf16-mixed"
    assert mixed("so mad")["score"] == pytest.approx(exact["score"], abs=0.02)
    true = Predictor(classifier.module, classifier.data, device="cpu", precision="bf16-true")
    assert next(true.module.parameters()).dtype == torch.bfloat16
    assert true("so mad")["score"] == pytest.approx(exact["score"], abs=0.02)


def test_it_tells_what_it_is(classifier: Predictor) -> None:
    classifier.data._class_names = ["<b>anger</b>", "joy"]
    text, html = repr(classifier), classifier._repr_html_()
    assert "SequenceClassifier with NoPE" in text
    assert "labels" in text
    assert "&lt;b&gt;anger" in html
    assert "<b>" not in html
