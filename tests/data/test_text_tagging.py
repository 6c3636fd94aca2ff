"""Sentences in columns: words, tags, unknown words, first pieces, and mistakes."""

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from lightning_posenc.cli import main
from lightning_posenc.data import TaggingData

FILE = """-DOCSTART- -X- -X- O

the DT B-NP O
cat NN I-NP O

Rome NNP B-NP B-LOC
sees VBZ B-VP O
the DT B-NP O
cat NN I-NP O


cat NN I-NP O
sees VBZ B-VP O
"""


@pytest.fixture
def conll(tmp_path):
    file = tmp_path / "train.txt"
    file.write_text(FILE)
    return str(file)


def ready(path, **options):
    data = TaggingData(path, **{"train_length": 5, "batch_size": 2, "val_path": path} | options)
    data.prepare_data()
    data.setup()
    return data


def test_words_and_tags(conll):
    data = ready(conll, tag_column=1)
    assert data.class_names == ["DT", "NN", "NNP", "VBZ"]
    assert data.n_classes == 4
    assert data.vocab_size == 4  # unknown (Rome is rare), cat, sees, the
    first, second = data.val_dataloader()
    assert first.tokens.tolist() == [[3, 1, 0, 0], [0, 2, 3, 1]]
    assert first.targets.tolist() == [[0, 1, -100, -100], [2, 3, 0, 1]]
    assert first.lengths.tolist() == [2, 4]
    assert second.tokens.tolist() == [[1, 2]]
    assert ready(conll, min_count=1).vocab_size == 5
    assert ready(conll).class_names == ["B-LOC", "O"]


def test_words_that_training_has_not(tmp_path, conll):
    other = tmp_path / "other.txt"
    other.write_text("dog X\nthe Y")
    data = ready(conll, val_path=None, test_path=str(other), eval_lengths=[2, 1])
    assert data.class_names == ["B-LOC", "O", "X", "Y"]
    assert [[b.tokens.tolist() for b in loader] for loader in data.test_dataloader()] == [
        [[[0, 3]]],
        [[[0]]],
    ]
    assert len(list(data.val_dataloader())) == 1
    assert len(data._sentences("path")) == 3


def test_first_pieces_bear_the_tag(tmp_path, conll):
    pieces = ["t", "he", "c", "at", "Rome", "se", "es"]
    tokenizer = Tokenizer(
        models.BPE({p: n for n, p in enumerate([*"theRomcas", *pieces[1:2], *pieces[3:]])}, [])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    file = tmp_path / "tokenizer.json"
    tokenizer.save(str(file))
    data = ready(conll, vocabulary=str(file), tag_column=1, train_length=8)
    batch = next(iter(data.val_dataloader()))
    assert batch.lengths.tolist() == [6, 8]  # the cat; Rome sees the cat, cut
    assert batch.targets[0].tolist() == [0, -100, -100, 1, -100, -100, -100, -100]
    assert batch.targets[1].tolist() == [2, -100, -100, -100, 3, -100, -100, -100]
    assert batch.tokens[0, :6].tolist() == [0, 1, 2, 6, 7, 0]


def test_training_sees_each_sentence_in_each_pass(conll):
    data = ready(conll, batch_size=3, seed=1)
    (batch,) = data.train_dataloader()
    (val,) = ready(conll, eval_batch_size=3).val_dataloader()
    assert sorted(batch.tokens.tolist()) == sorted(val.tokens.tolist())


FIT = [
    "fit",
    "--model=TokenClassifier",
    "--model.encoder={d_model: 16, n_heads: 2, n_layers: 1}",
    "--data=TaggingData",
    "--trainer.fast_dev_run=1",
    "--trainer.accelerator=cpu",
]


def test_from_the_command_line(tmp_path, conll):
    assert main([*FIT, f"--data.path={conll}", f"--run_dir={tmp_path / 'run'}"]) == 0


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        (None, [], "bad.txt does not exist: give a file"),
        (b"", [], "bad.txt is empty: give a source with text in it"),
        (b"-DOCSTART- O\n\n", [], "bad.txt is empty"),
        (b"a X\nb\n", [], "bad.txt, line 2: has one column, the word 'b' without a tag"),
        (b"a X\n", ["--data.tag_column=2"], "bad.txt, line 1: has 2 column(s), so there is no"),
        (b"a X\n\xff\xfe X\n", [], "bad.txt is not UTF-8 text ("),
        (b"a X\n", [], "bad.txt has one sentence: give more"),
    ],
)
def test_a_mistake_ends_in_one_clear_line(tmp_path, capsys, content, arguments, said):
    file = tmp_path / "bad.txt"
    if content is not None:
        file.write_bytes(content)
    run = [f"--data.path={file}", f"--run_dir={tmp_path / 'run'}"]
    assert main([*FIT, *arguments, *run]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    assert len(errors) == 1
    assert said in errors[0]


def test_a_batch_is_as_wide_as_its_longest_sentence(conll):
    """P10: of every place that no sentence fills a model would compute all layers."""
    data = ready(conll, train_length=64, batch_size=1, eval_batch_size=1)
    batches = [*data.train_dataloader(), *data.val_dataloader()]
    assert all(batch.tokens.shape[1] == batch.lengths.max() for batch in batches)
    assert all(batch.targets.shape == batch.tokens.shape for batch in batches)
    assert max(batch.tokens.shape[1] for batch in batches) < 64
