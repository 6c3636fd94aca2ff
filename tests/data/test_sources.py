"""Files are read as they are written, and nothing is guessed or fetched (faults kind 9)."""

import gzip
import json
import socket

import pytest
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers

from lightning_posenc.data import TextClassificationData, TextData
from lightning_posenc.data.saying import forget
from lightning_posenc.data.text.vocabulary import read_tokenizer

pytestmark = pytest.mark.usefixtures("private_cache")


@pytest.fixture(autouse=True)
def says_anew():
    forget()


def classes(path, **options):
    data = TextClassificationData(str(path), train_length=64, batch_size=2, **options)
    data.prepare_data()
    data.setup()
    return data


def rows(data):
    """Text and class of each row, in order."""
    found = []
    for batch in data.predict_dataloader():
        for ids, target, n in zip(batch.tokens, batch.targets, batch.lengths, strict=True):
            found.append((bytes(ids[:n].tolist()).decode(), data.class_names[target]))
    return found


def whole(path, **options):
    """All text of a source."""
    data = TextData(str(path), train_length=4, **options)
    data.prepare_data()
    data.setup("predict")
    return bytes(data._packed_for("predict").tokens.tolist()).decode()


WORDS = [("null", "NA"), ("None", "01"), ("NA", "1"), ("nan", "NA"), ("1.0", "01"), ("a, b", "1")]


@pytest.mark.parametrize("kind", ["csv", "tsv", "csv.gz", "tsv.gz"])
def test_what_pandas_takes_for_nothing_is_a_word(tmp_path, kind):
    """B9: and a name of digits is a name; .tsv and .gz are read."""
    file = tmp_path / f"rows.{kind}"
    mark = "\t" if "tsv" in kind else ","
    opened = gzip.open if kind.endswith("gz") else open
    with opened(file, "wt") as out:
        quote = "" if mark == "\t" else '"'
        lines = [f"{quote}{a}{quote}{mark}{b}" for a, b in [("text", "label"), *WORDS]]
        out.write("\n".join(lines))
    assert rows(classes(file)) == WORDS


def test_a_quotation_mark_is_text_where_tabs_part_columns(tmp_path):
    """One that was not closed swallowed the rows up to the next."""
    file = tmp_path / "rows.tsv"
    file.write_text('text\tlabel\n"open quote starts\t2\nsay hi\t1\nend" x\t0\n')
    assert rows(classes(file)) == [('"open quote starts', "2"), ("say hi", "1"), ('end" x', "0")]


def test_integers_of_a_table_are_in_the_order_of_numbers(tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("text,label\n" + "".join(f"t{n},{n}\n" for n in (10, 9, -1, 2)))
    assert classes(file).class_names == ["-1", "2", "9", "10"]
    file.write_text("text,label\nt,0.5\nu,1.5\n")
    with pytest.raises(ValueError, match="numbers with a point, such as 0"):
        classes(file)


def test_a_comma_in_a_text_does_not_shift_the_row(tmp_path):
    """Pandas would take the first field for an index."""
    file = tmp_path / "rows.csv"
    file.write_text("text,label\nhello, world,1\nbye, you,0\n")
    with pytest.raises(ValueError, match=r"row 0 of rows.csv .* has 3 fields, the header 2"):
        classes(file)


@pytest.mark.parametrize("label", [["a", "b"], {"a": 1}])
def test_labels_that_are_no_names(tmp_path, label):
    """B27."""
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps({"text": "t", "label": label}) for _ in range(5)))
    with pytest.raises(ValueError, match=r"labels in column 'label' are (lists|records)"):
        classes(file)


def test_one_column_for_text_and_label():
    """E6."""
    with pytest.raises(
        ValueError, match="label_column='text' must be another column than text_column"
    ):
        TextClassificationData("rows.csv", label_column="text")


def test_names_of_files_are_no_patterns(tmp_path):
    """G6."""
    folder = tmp_path / "d[1]*"
    folder.mkdir()
    for name in ("x[1].txt", "x1.txt", "y?.txt"):
        (folder / name).write_text(f"this is {name}")
        assert whole(folder / name) == f"this is {name}"
    assert sorted(whole(folder).split("this is ")[1:]) == ["x1.txt", "x[1].txt", "y?.txt"]


@pytest.mark.parametrize("other", ["train_notes.txt", "my-test.txt"])
def test_all_files_of_a_folder_are_read_or_named(tmp_path, capsys, other):
    """B11."""
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.txt").write_text(name * 50)
    (tmp_path / other).write_text("other " * 10)
    (tmp_path / "table.json").write_text("{}")
    read = whole(tmp_path)
    said = capsys.readouterr().err
    assert all(name * 50 in read for name in "abc")
    assert "of another kind and not read: table.json" in said
    if other.startswith("train"):
        assert "other" in read
    else:
        assert "by their names, train: a.txt, b.txt, c.txt; test: my-test.txt" in said


def test_splits_that_names_tell(tmp_path, capsys):
    for split, label in (("train", "a"), ("dev", "b"), ("test", "a")):
        (tmp_path / f"news_{split}.csv").write_text(f"text,label\n{split},{label}\n{split},a\n")
    data = classes(tmp_path)
    assert rows(data) == [("test", "a"), ("test", "a")]
    assert "train: news_train.csv" in capsys.readouterr().err


def tokenizer(file, unknown="[UNK]", cut=False):
    made = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "b": 2}, unk_token=unknown))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    if cut:
        made.enable_truncation(3)
        made.enable_padding(length=5)
    made.save(str(file))
    return file


def test_a_tokenizer_that_cuts_and_pads(tmp_path, capsys):
    """G6: both are the data's to choose."""
    plain, cuts = (read_tokenizer(tokenizer(tmp_path / "t.json", cut=cut)) for cut in (0, 1))
    assert cuts.encode("a b a b").tolist() == plain.encode("a b a b").tolist() == [1, 2, 1, 2]
    assert "its own truncation and padding is left out" in capsys.readouterr().err


def test_a_tokenizer_without_a_token_for_what_is_unknown(tmp_path):
    """G15."""
    vocabulary = read_tokenizer(tokenizer(tmp_path / "t.json", unknown="[NONE]"))
    with pytest.raises(ValueError, match=r"cannot read the text .*: give one that has"):
        vocabulary.encode("a c")


@pytest.mark.parametrize("harm", ["cut", "empty", "deleted"])
def test_a_broken_cache_is_made_anew(tmp_path, private_cache, capsys, harm):
    """G10: of the file, of its tokens, and of trained pieces."""
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps({"text": f"row {n} is here"}) for n in range(30)))
    options = {"vocabulary": "bpe", "vocabulary_size": 260}
    data = TextData(str(file), train_length=8, **options)
    data.prepare_data()
    cached = [*private_cache.rglob("*.arrow"), *private_cache.rglob("bpe-*.json")]
    assert len(cached) >= 3
    for each in cached:
        content = each.read_bytes()
        each.unlink()
        if harm != "deleted":
            each.write_bytes(content[: len(content) // 2] if harm == "cut" else b"")
    again = TextData(str(file), train_length=8, **options)
    again.prepare_data()
    again.setup()
    data.setup()
    assert again.vocabulary == data.vocabulary
    assert "what was cached of it was broken" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["txt", "csv", "jsonl", "parquet"])
@pytest.mark.parametrize("streaming", [False, True])
def test_nothing_leaves_the_machine(tmp_path, monkeypatch, kind, streaming):
    """G12: a local file is nobody else's business."""

    def asked(*args, **kwargs):
        raise AssertionError(f"asked the network: {args}")

    calls = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: calls.append(a) or asked(*a))
    monkeypatch.setattr(socket.socket, "connect", lambda *a: calls.append(a) or asked(*a))
    file = tmp_path / f"rows.{kind}"
    texts = [f"row number {n}" for n in range(40)]
    if kind == "txt":
        file.write_text("\n".join(texts))
    else:
        table = Dataset.from_dict({"text": texts})
        {"csv": table.to_csv, "jsonl": table.to_json, "parquet": table.to_parquet}[kind](file)
    options = {"steps_per_epoch": 1, "val_documents": 9, "streaming": True} if streaming else {}
    data = TextData(str(file), train_length=8, batch_size=2, **options)
    data.prepare_data()
    data.setup()
    assert next(iter(data.train_dataloader())).tokens.shape == (2, 8)
    assert not calls
