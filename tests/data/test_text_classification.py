"""Texts with a class each: what a batch holds, classes, splits, and mistakes."""

import json

import datasets
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from lightning_posenc.cli import main
from lightning_posenc.data import TextClassificationData
from lightning_posenc.data.text import hub
from lightning_posenc.data.text.vocabulary import Bytes

pytestmark = pytest.mark.usefixtures("private_cache")
KINDS = ["wordy", "Number", "empty"]
TEXTS = [f"the word {n}é" * (n % 5 + 1) if n % 3 == 0 else f"{n * 12345}" for n in range(60)]
LABELS = [KINDS[0] if n % 3 == 0 else KINDS[1] for n in range(60)]
TEXTS[7], LABELS[7] = "", "empty"


def save(folder, kind="jsonl", texts=TEXTS, labels=LABELS):
    file = folder / f"rows.{kind}"
    rows = {"body": list(texts), "kind": list(labels)}
    if kind == "parquet":
        Dataset.from_dict(rows).to_parquet(file)
    elif kind == "csv":
        Dataset.from_dict(rows).to_csv(file)
    else:
        lines = (json.dumps({"body": t, "kind": k}) for t, k in zip(texts, labels, strict=True))
        file.write_text("\n".join(lines))
    return str(file)


def make(path, **options):
    defaults = {"text_column": "body", "label_column": "kind", "batch_size": 8}
    return TextClassificationData(path, **defaults | {"train_length": 16} | options)


def ready(path, **options):
    data = make(path, **options)
    data.prepare_data()
    data.setup()
    return data


def read(data, loader):
    """(text as far as it was kept, class name) of all rows."""
    found = []
    for batch in loader:
        for tokens, label, length in zip(batch.tokens, batch.targets, batch.lengths, strict=True):
            assert (tokens[length:] == 0).all()
            found.append((bytes(tokens[:length].tolist()), data.class_names[label]))
    return found


def expected(length):
    return [(t.encode()[:length] or b"\0", k) for t, k in zip(TEXTS, LABELS, strict=True)]


@pytest.mark.parametrize("kind", ["parquet", "json", "jsonl", "csv"])
def test_texts_are_cut_and_padded_and_keep_their_class(tmp_path, kind):
    data = ready(save(tmp_path, kind))
    assert data.class_names == ["Number", "empty", "wordy"]
    assert data.n_classes == 3
    assert data.vocab_size == 256
    batch = next(iter(data.train_dataloader()))
    assert batch.tokens.shape == (8, batch.lengths.max())
    assert batch.targets.shape == batch.lengths.shape == (8,)
    assert batch.tokens.dtype == batch.targets.dtype == batch.lengths.dtype == torch.int64
    assert batch.documents is batch.positions is None
    val, test = read(data, data.val_dataloader()), read(data, data.test_dataloader()[0])
    assert len(val) == 6
    assert test == val
    # B4: a line for each row of the file, in its order.
    assert read(data, data.predict_dataloader()) == expected(16)
    a_pass = ready(save(tmp_path, kind), batch_size=54)
    assert sorted(read(data, a_pass.train_dataloader()) + val) == sorted(expected(16))


def test_the_order_is_that_of_the_seed_and_validation_is_not(tmp_path):
    file = save(tmp_path)
    first, same, other = (ready(file, seed=seed) for seed in (1, 1, 2))
    train = [read(data, data.train_dataloader()) for data in (first, same, other)]
    assert train[0] == train[1] != train[2]
    assert read(first, first.val_dataloader()) == read(other, other.val_dataloader())
    # Another batch size cuts the same stream.
    larger = ready(file, seed=1, batch_size=24)
    assert read(larger, larger.train_dataloader())[:48] == train[0][:48]


def test_evaluation_lengths_cut(tmp_path):
    data = ready(save(tmp_path), eval_lengths=[4, 40])
    short, long = (read(data, loader) for loader in data.test_dataloader())
    assert [text for text, _ in short] == [text[:4] for text, _ in long]
    assert max(len(text) for text, _ in long) > 16


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_integer_labels_are_numbered_in_order(tmp_path, kind):
    labels = [10 if n % 2 else -3 for n in range(60)]
    data = ready(save(tmp_path, kind, labels=labels))
    assert data.class_names == ["-3", "10"]
    both = dict(zip((t.encode()[:16] or b"\0" for t in TEXTS), labels, strict=True))
    for text, name in read(data, data.train_dataloader()):
        assert both[text] == int(name)


def fake_hub(monkeypatch, **splits):
    monkeypatch.setattr("datasets.load_dataset", lambda *args, **kwargs: DatasetDict(splits))
    monkeypatch.setattr(hub, "unreachable", lambda: None)


def test_a_dataset_of_the_hub(monkeypatch):
    features = Features(text=Value("string"), label=ClassLabel(names=["neg", "pos", "never"]))

    def rows(text, labels):
        return Dataset.from_dict({"text": [text] * len(labels), "label": labels}, features=features)

    splits = {"train": rows("a", [0, 1, 1, 0]), "test": rows("b", [1, 1])}
    fake_hub(monkeypatch, **splits, unsupervised=rows("u", [-1, -1]))
    data = ready("imdb", text_column="text", label_column="label", val_fraction=0.25)
    assert data.class_names == ["neg", "pos", "never"]
    assert len(read(data, data.val_dataloader())) == 1
    assert read(data, data.test_dataloader()[0]) == [(b"b", "pos")] * 2
    # A benchmark that keeps the answers to its test to itself.
    fake_hub(monkeypatch, train=splits["train"], validation=rows("v", [0]), test=rows("t", [-1]))
    data = ready("sst2", text_column="text", label_column="label", vocabulary="chars")
    assert data.decode([0, 1]) == "av"
    for loader in (data.val_dataloader(), data.test_dataloader()[0]):
        assert [batch.targets.tolist() for batch in loader] == [[0]]


def test_texts_are_tokenised_once(tmp_path, monkeypatch):
    file = save(tmp_path)
    first = ready(file)

    def again(*args):
        raise AssertionError("tokenised a second time")

    monkeypatch.setattr(Bytes, "encode", again)
    second = ready(file, train_length=8)
    assert (second._found["train"].tokens.ids == first._found["train"].tokens.ids).all()


@pytest.mark.parametrize("label", [None, ""])
@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_missing_label(tmp_path, kind, label):
    labels = [*LABELS[:20], label, *LABELS[21:]]
    with pytest.raises(ValueError, match=r"1 of 60 train texts have no label in column 'kind'.*20"):
        _ = make(save(tmp_path, kind, labels=labels)).n_classes


def test_labels_of_no_use(tmp_path):
    labels = [n / 7 for n in range(60)]
    with pytest.raises(ValueError, match="of type float: they must all be integers or all be name"):
        _ = make(save(tmp_path, labels=labels)).n_classes


def test_too_few_texts(tmp_path):
    with pytest.raises(ValueError, match=r"has 1 text\(s\): give at least 2"):
        ready(save(tmp_path, texts=["a"], labels=["b"]))


FIT = [
    "fit",
    "--model=SequenceClassifier",
    "--model.encoder={d_model: 16, n_heads: 2, n_layers: 1}",
    "--data=TextClassificationData",
    "--data.text_column=body",
    "--data.label_column=kind",
    "--data.train_length=8",
    "--trainer.fast_dev_run=1",
    "--trainer.accelerator=cpu",
]


def test_from_the_command_line(tmp_path):
    file = save(tmp_path)
    arguments = [f"--data.path={file}", "--data.vocabulary=bpe", "--data.vocabulary_size=270"]
    assert main([*FIT, *arguments, f"--run_dir={tmp_path / 'run'}"]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "data.path is empty: give a file"),
        (["--data.path=nowhere.csv"], "data.path=nowhere.csv does not exist: give an existing"),
        (["--data.label_column=sort"], "no column 'sort': set data.label_column to one of body, k"),
        (["--data.text_column=text"], "no column 'text': set data.text_column to one of body, kin"),
    ],
)
def test_a_mistake_ends_in_one_clear_line(tmp_path, capsys, arguments, said):
    if arguments and not arguments[0].startswith("--data.path"):
        arguments = [f"--data.path={save(tmp_path)}", *arguments]
    assert main([*FIT, *arguments, f"--run_dir={tmp_path / 'run'}"]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert said in errors[0]


@pytest.mark.parametrize(
    ("name", "labels", "said"),
    [
        ("one.csv", ["x"], "every label in column 'label' is 'x': there is nothing to tell apart"),
        ("one.csv", ["1"], "every label in column 'label' is '1'"),
        ("mixed.csv", ["1.0", "1", "0"], "numbers with a point, such as 1.0 and 0: write classes"),
        ("dates.jsonl", ["2020-01-01", "2020-01-02"], "are dates: JSON has none"),
    ],
)
def test_labels_that_are_no_classes(tmp_path, name, labels, said):
    rows = [(f"text {n}", labels[n % len(labels)]) for n in range(12)]
    as_json = [json.dumps({"text": text, "label": label}) for text, label in rows]
    lines = as_json if name.endswith("l") else ["text,label", *map(",".join, rows)]
    (tmp_path / name).write_text("\n".join(lines))
    with pytest.raises(ValueError, match=said):
        TextClassificationData(str(tmp_path / name)).n_classes  # noqa: B018


def test_a_batch_is_as_wide_as_its_longest_text(tmp_path):
    """P10: of every place that no text fills a model would compute all layers."""
    data = ready(save(tmp_path), train_length=200, batch_size=4, eval_batch_size=4)
    batches = [*data.train_dataloader(), *data.val_dataloader()]
    widths = {batch.tokens.shape[1] for batch in batches}
    assert all(batch.tokens.shape[1] == batch.lengths.max() for batch in batches)
    assert len(widths) > 1
    assert max(widths) < 200
    for batch in batches:
        padding = torch.arange(batch.tokens.shape[1]) >= batch.lengths[:, None]
        assert not batch.tokens[padding].any()


def test_buckets_pad_less_and_read_the_same_texts(tmp_path):
    plain, bucketed = (ready(save(tmp_path), bucket=n, val_fraction=0.2) for n in (1, 3))
    one, other = (list(data.train_dataloader()) for data in (plain, bucketed))
    assert sum(b.tokens.numel() for b in other) < sum(b.tokens.numel() for b in one)
    texts = [sorted(read(plain, batches[:3])) for batches in (one, other)]
    assert texts[0] == texts[1]  # of a bucket of three batches


def test_bars_are_for_terminals(tmp_path, capsys):
    """A log would have a line for each of their steps."""
    datasets.enable_progress_bars()  # which the fixture has hidden
    path = tmp_path / "x.csv"
    path.write_text("text,label\n" + "a,0\nb,1\n" * 3)
    data = TextClassificationData(str(path), train_length=4)
    data.prepare_data()
    data.setup("fit")
    assert "%|" not in capsys.readouterr().err
    assert not datasets.are_progress_bars_disabled()
