"""A checkpoint carries what its numbers mean, for every data module (faults kind 1: B2-B4, B12)."""

import io
import json

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Value
from tokenizers import Tokenizer, models, pre_tokenizers

from lightning_posenc import data as package
from lightning_posenc.data import (
    FrameData,
    ImageData,
    PairData,
    SyntheticData,
    TaggingData,
    TextClassificationData,
    TextData,
    TextPairData,
    ToneData,
)
from lightning_posenc.data.loaders import GlobalBatchData
from lightning_posenc.data.meaning import described, state_of
from lightning_posenc.data.saying import forget
from lightning_posenc.tasks import Reverse, Shift

pytestmark = pytest.mark.usefixtures("private_cache")

TRAINED = "the cat sees a bird. the bird flies (away)! " * 20
OTHER = "a bird sees the cat. the cat flies away! " * 25


def tokenizer(folder):
    words = ["[UNK]", *sorted({*TRAINED.split(), "zebra"})]
    made = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.save(str(folder / "tokenizer.json"))
    return str(folder / "tokenizer.json")


def text(folder, which, **options):
    file = folder / f"{which}.txt"
    file.write_text(TRAINED if which == "trained" else OTHER)
    return TextData(str(file), train_length=8, batch_size=4, **options)


def stream(folder, which, **options):
    file = folder / f"{which}.jsonl"
    lines = (TRAINED if which == "trained" else OTHER).split(".")
    file.write_text("\n".join(json.dumps({"text": line}) for line in lines))
    sizes = {"steps_per_epoch": 3, "val_documents": 5, "shuffle_buffer": 0}
    return TextData(str(file), streaming=True, train_length=8, batch_size=2, **sizes, **options)


def classes(folder, which, **options):
    names = ["anger", "fear", "joy"] if which == "trained" else ["fear", "joy", "love"]
    file = folder / f"{which}.csv"
    rows = [f"they say {names[n % 3]} number {n},{names[n % 3]}" for n in range(60)]
    file.write_text("\n".join(["text,label", *rows]))
    return TextClassificationData(str(file), train_length=16, batch_size=4, **options)


def tags(folder, which, **options):
    sentence = "the DET\ncat NOUN\nsees VERB\n\n" if which == "trained" else "cat NOUN\noh INTJ\n\n"
    file = folder / f"{which}.conll"
    file.write_text(sentence * 20)
    return TaggingData(str(file), train_length=4, batch_size=4, **options)


def task(folder, which, **options):
    return SyntheticData(Shift(), 8, steps_per_epoch=2, batch_size=4, eval_samples=8, **options)


def task_pairs(folder, which, **options):
    return PairData(Reverse(), train_length=8, steps_per_epoch=2, batch_size=4, eval_samples=8)


def text_pairs(folder, which, **options):
    file = folder / f"{which}.jsonl"
    lines = (TRAINED if which == "trained" else OTHER).split(".")
    rows = [{"source": line, "target": line[::-1]} for line in lines if line.strip()]
    file.write_text("\n".join(map(json.dumps, rows)))
    return TextPairData(str(file), train_length=8, batch_size=4, **options)


def images(folder, which, **options):
    names = ["anger", "fear", "joy"] if which == "trained" else ["fear", "joy", "love"]
    shades = np.arange(60, dtype=np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2)
    labels = np.array([names[n % 3] for n in range(60)])
    np.savez(folder / f"{which}.npz", images=shades, labels=labels)
    return ImageData(str(folder / f"{which}.npz"), 4, batch_size=4)


def drawn_tones(folder, which, **options):
    return ToneData(train_length=2, steps_per_epoch=2, batch_size=4, eval_samples=4, n_mels=8)


def recordings(folder, which, **options):
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(folder / "a.wav", np.sin(np.arange(1600) / 5), 16000)
    file = folder / f"{which}.csv"
    file.write_text("audio,text\n" + ("a.wav,abc\n" if which == "trained" else "a.wav,bé\n") * 8)
    return FrameData(str(file), batch_size=4, **options)


CASES = {
    "task": (task, {}),
    "pairs of a task": (task_pairs, {}),
    "pairs": (text_pairs, {}),
    "pairs in pieces": (text_pairs, {"vocabulary": "bpe", "vocabulary_size": 270}),
    "bytes": (text, {}),
    "chars": (text, {"vocabulary": "chars"}),
    "bpe": (text, {"vocabulary": "bpe", "vocabulary_size": 270}),
    "tokenizer": (text, {"vocabulary": tokenizer}),
    "stream": (stream, {"vocabulary": "bpe", "vocabulary_size": 270}),
    "classes": (classes, {}),
    "classes of chars": (classes, {"vocabulary": "bpe", "vocabulary_size": 270}),
    "words": (tags, {}),
    "images": (images, {}),
    "tones": (drawn_tones, {}),
    "recordings": (recordings, {"vocabulary": "bytes"}),
    "pieces": (tags, {"vocabulary": tokenizer}),
}
each = pytest.mark.parametrize("name", CASES)


def make(name, folder, which):
    how, options = CASES[name]
    return how(folder, which, **{k: v(folder) if callable(v) else v for k, v in options.items()})


def saved(data):
    """The state as a checkpoint gives it back: weights_only loads it."""
    file = io.BytesIO()
    torch.save(data.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def ready(data, stage=None):
    data.prepare_data()
    data.setup(stage)
    return data


def test_every_data_module_is_here():
    kinds = {kind for kind in vars(package).values() if isinstance(kind, type)}
    ours = {kind for kind in kinds if issubclass(kind, GlobalBatchData)}
    assert ours == {
        FrameData, ImageData, PairData, SyntheticData, TaggingData, TextClassificationData,
        TextData, TextPairData, ToneData,
    }  # fmt: skip


@each
def test_other_data_is_read_as_the_checkpoint_reads(tmp_path, name):
    """B2, B3: whenever the state comes, before the data is read or, as in Lightning, after."""
    trained = ready(make(name, tmp_path, "trained"))
    state = saved(trained)
    early, late = (make(name, tmp_path, "other") for _ in range(2))
    early.adopt(state)
    try:
        ready(late)
    except ValueError:  # without the checkpoint it may not be readable at all
        late = make(name, tmp_path, "other")
    late.load_state_dict(state)
    for other in (early, late):
        ready(other, "test")
        assert other.meaning() == trained.meaning() == state["meaning"]
        assert other.vocab_size == trained.vocab_size
        assert getattr(other, "class_names", None) == getattr(trained, "class_names", None)
        assert other.trained_lengths == trained.trained_lengths
    batches = [next(iter(other.test_dataloader()[0])) for other in (early, late)]
    assert torch.equal(batches[0].tokens, batches[1].tokens)
    assert torch.equal(batches[0].targets, batches[1].targets)
    if hasattr(trained, "decode") and name not in ("tokenizer", "recordings"):
        row = batches[0].tokens[0][: 8 if batches[0].lengths is None else batches[0].lengths[0]]
        assert trained.decode(row.tolist()) in (
            OTHER.replace(".", "") if name == "stream" else OTHER + "they say fear number 0"
        )


@each
def test_data_is_made_again_from_a_checkpoint(tmp_path, name):
    """From Python, as on the command line: with the run's lengths, vocabulary and columns."""
    trained = ready(make(name, tmp_path, "trained"))
    file = tmp_path / "data.ckpt"
    torch.save({type(trained).__qualname__: trained.state_dict()}, file)
    given = {"task": trained.task} if hasattr(trained, "task") else {}
    if hasattr(trained, "path"):
        given = {"path": make(name, tmp_path, "other").path}
    again = ready(type(trained).load_from_checkpoint(file, **given), "test")
    options, before = described(again.options()), described(trained.options())
    assert {k: v for k, v in options.items() if k not in given} == {
        k: v for k, v in before.items() if k not in given
    }
    assert again.meaning() == trained.meaning()
    assert again.trained_lengths == trained.trained_lengths
    if name == "task":
        with pytest.raises(ValueError, match=r"give task=…, .* it was lightning_posenc.*Shift"):
            SyntheticData.load_from_checkpoint(file)


@each
def test_the_same_data_stays_what_it_was(tmp_path, name):
    trained, again = (ready(make(name, tmp_path, "trained")) for _ in range(2))
    again.load_state_dict(saved(trained))
    for first, second in (
        (trained.val_dataloader(), again.val_dataloader()),
        (trained.train_dataloader(), again.train_dataloader()),
    ):
        assert torch.equal(next(iter(first)).tokens, next(iter(second)).tokens)
    assert trained.stream() == again.stream()


def test_classes_are_mapped_by_name(tmp_path, capsys):
    """B2: all texts of classes that the model knows are tested, and the others counted."""
    state = saved(ready(make("classes", tmp_path, "trained")))
    other = make("classes", tmp_path, "other")
    other.adopt(state)
    ready(other, "test")
    targets = torch.cat([batch.targets for batch in other.test_dataloader()[0]])
    assert targets.tolist() == [1, 2] * 20  # fear and joy as the checkpoint numbers them
    said = capsys.readouterr().err
    assert "test: 40 of the 60 texts of" in said
    assert "20 of classes that the model does not know, love (20)" in said


def test_classes_that_a_dataset_names(tmp_path):
    """B2 again: where the file numbers its classes itself, the names count and not its numbers."""
    state = saved(ready(make("classes", tmp_path, "trained")))
    features = Features(text=Value("string"), label=ClassLabel(names=["joy", "anger"]))
    rows = {"text": ["a", "b", "c"], "label": [0, 1, -1]}
    Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "numbered.parquet")
    other = TextClassificationData(str(tmp_path / "numbered.parquet"), train_length=16)
    other.adopt(state)
    ready(other, "test")
    assert [batch.targets.tolist() for batch in other.test_dataloader()[0]] == [[2, 0]]
    assert len(next(iter(other.predict_dataloader())).tokens) == 3


def test_tags_are_mapped_by_name(tmp_path, capsys):
    state = saved(ready(make("words", tmp_path, "trained")))
    other = make("words", tmp_path, "other")
    other.adopt(state)
    ready(other, "test")
    batch = next(iter(other.test_dataloader()[0]))
    assert batch.targets[0].tolist() == [1, -100]  # NOUN; INTJ is not known
    assert "20 words with tags that the model does not know, INTJ (20)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda f: classes(f, "other", vocabulary="chars"),
            "chars.* trained with bytes",
        ),
        (lambda f: text(f, "other"), "data=TextData.* trained on data of TextClassificationData"),
    ],
)
def test_what_cannot_be_mapped_is_refused(tmp_path, make, said):
    trained = ready(classes(tmp_path, "trained"))
    checkpoint = {"TextClassificationData": saved(trained), "epoch": 1}
    other = make(tmp_path)
    with pytest.raises(ValueError, match=said):
        other.adopt(state_of(checkpoint, type(other)))
    assert state_of({"epoch": 1}, type(other)) is None  # of an earlier release


def test_nothing_that_is_known(tmp_path):
    """B2, B3: the line names what differs."""
    state = saved(ready(make("classes", tmp_path, "trained")))
    (tmp_path / "love.csv").write_text("text,label\na,love\nb,love\n")
    other = TextClassificationData(str(tmp_path / "love.csv"), train_length=16)
    other.adopt(state)
    with pytest.raises(ValueError, match=r"none of its 2 .* love \(2\), the checkpoint anger"):
        ready(other, "test")
    state = saved(ready(make("chars", tmp_path, "trained")))
    (tmp_path / "marks.txt").write_text(OTHER + "‹é›")
    other = TextData(str(tmp_path / "marks.txt"), vocabulary="chars", train_length=8)
    other.adopt(state)
    with pytest.raises(ValueError, match=r"lacks 'é' .U.00E9., '‹' .U.2039., '›'"):
        ready(other, "test")


@pytest.mark.parametrize("name", ["bytes", "stream", "classes", "words"])
def test_a_new_file_is_tested_whole(tmp_path, name):
    """F-C: not the share of it that training would have left out."""
    state = saved(ready(make(name, tmp_path, "trained")))
    other = make(name, tmp_path, "other")
    own = sum(len(batch.tokens) for batch in ready(make(name, tmp_path, "other")).val_dataloader())
    other.adopt(state)
    ready(other, "test")
    seen = sum(len(batch.tokens) for batch in other.test_dataloader()[0])
    whole = {"bytes": (len(OTHER) - 1) // 8, "classes": 40, "words": 20}
    assert seen == whole.get(name, seen) > own
    validated = sum(len(batch.tokens) for batch in other.val_dataloader())
    assert validated == seen


def test_another_task_is_named(tmp_path, capsys):
    """B28: sizes that differ are refused, other options said."""
    state = saved(task(tmp_path, "trained"))
    with pytest.raises(ValueError, match=r"task=.*Reverse.* trained with .*Shift.* do not fit"):
        SyntheticData(Reverse(n_symbols=8), 8).adopt(state)
    SyntheticData(Shift(k=2), 8).adopt(state)
    assert "data.task.k=2, the checkpoint was trained with 1" in capsys.readouterr().err


def test_what_is_cut_is_said_once(tmp_path, capsys):
    """C5: also in the test, with the words that are never scored."""
    forget()
    (tmp_path / "rows.jsonl").write_text(
        "\n".join(json.dumps({"text": "x" * n, "label": n % 2}) for n in range(1, 21))
    )
    options = {"train_length": 10, "eval_lengths": [5, 40], "batch_size": 2, "val_fraction": 0.5}
    data = TextClassificationData(str(tmp_path / "rows.jsonl"), **options)
    data.prepare_data()
    for stage in ("fit", "fit", "test"):
        data.setup(stage)
    train, *tests = capsys.readouterr().err.splitlines()
    sizes = [int(n) for batch in data.train_dataloader() for n in batch.lengths]
    assert len(sizes) == 10
    assert train.startswith("fit: at 10 tokens ")
    assert "of the texts are cut" in train
    assert "of their tokens are not read" in train
    assert [test.partition(" tokens")[0] for test in tests] == ["test: at 5"]
    (tmp_path / "long.conll").write_text("w X\n" * 6 + "\n" + "w X\n" * 3)

    tagged = TaggingData(
        str(tmp_path / "long.conll"), test_path=str(tmp_path / "long.conll"), train_length=4
    )
    tagged.setup("test")
    assert capsys.readouterr().err == (
        "test: at 4 tokens 50 % of the sentences are cut, 22.2 % of their tokens are not read, "
        "2 of 9 words are never scored\n"
    )


def test_the_size_of_an_evaluation_batch_is_none_or_positive():
    """Review 11: 0 is no size, and no default either."""
    with pytest.raises(ValueError, match="eval_batch_size=0 must be at least 1"):
        SyntheticData(eval_batch_size=0)
    assert SyntheticData(batch_size=3).eval_batch_size == 3
