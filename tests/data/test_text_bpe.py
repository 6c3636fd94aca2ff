"""Byte-level BPE that is trained on the corpus: once, the same every time, and known in time."""

import json
import os
import random
import subprocess
import sys
import time

import pytest
from tokenizers import Tokenizer

from lightning_posenc.data import TextData
from lightning_posenc.data.text import byte_pairs
from lightning_posenc.data.text.byte_pairs import train_bpe
from lightning_posenc.data.text.vocabulary import Subwords

pytestmark = pytest.mark.usefixtures("private_cache")
TEXT = "".join(f"{n} times {n} is {n * n}, naïvely.\n" for n in range(400))


@pytest.fixture
def text_file(tmp_path):
    file = tmp_path / "numbers.txt"
    file.write_text(TEXT, encoding="utf-8")
    return str(file)


def make(path, **options):
    return TextData(
        path, **{"vocabulary": "bpe", "vocabulary_size": 300, "train_length": 16} | options
    )


def test_the_size_is_known_before_the_text_is_prepared(text_file):
    data = make(text_file)
    assert data.vocab_size == 300
    assert data._packed == {}
    ids = data.vocabulary.encode(TEXT + "\N{PILE OF POO} unseen: Ω")
    assert data.decode(ids.tolist()) == TEXT + "\N{PILE OF POO} unseen: Ω"
    assert len(data.vocabulary.encode(TEXT)) < len(TEXT) / 2
    assert max(ids) < 300
    assert " times" in Tokenizer.from_str(data.vocabulary.json).decode(ids[:8].tolist())


def test_the_text_is_read_in_pieces(text_file):
    data = make(text_file)
    data.prepare_data()
    data.setup()
    train = TEXT[: int(0.9 * len(TEXT))]
    assert data.decode(data._packed["train"].tokens.tolist()) == train
    assert next(iter(data.train_dataloader())).tokens.shape == (32, 16)


def test_trained_once(text_file, monkeypatch, private_cache):
    first = make(text_file).vocabulary

    def again(*args):
        raise AssertionError("trained a second time")

    monkeypatch.setattr(byte_pairs, "train_bpe", again)
    assert make(text_file, train_length=8).vocabulary == first
    with pytest.raises(AssertionError, match="second time"):
        _ = make(text_file, vocabulary_size=301).vocab_size
    with open(text_file, "a") as file:
        file.write("changed")
    with pytest.raises(AssertionError, match="second time"):
        _ = make(text_file).vocab_size
    # What failed left nothing behind that a next start could take for a tokenizer.
    assert len(list(private_cache.rglob("bpe-*.json"))) == 1


SCRIPT = """
import sys, datasets
datasets.config.HF_DATASETS_CACHE = sys.argv[1]
datasets.disable_progress_bars()
from lightning_posenc.data import TextData
from lightning_posenc.data.text import byte_pairs
train = byte_pairs.train_bpe
def told(*args):
    print("trained")
    return train(*args)
byte_pairs.train_bpe = told
print(TextData(sys.argv[2], vocabulary="bpe", vocabulary_size=400).vocabulary.json)
"""


@pytest.mark.slow
@pytest.mark.long
def test_of_two_processes_one_trains_and_both_agree(tmp_path, text_file):
    def start(cache, threads):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / cache), text_file]
        environment = os.environ | {"RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    runs = [start("shared", "1"), start("shared", "2"), start("other", "2")]
    said = [run.communicate(timeout=240)[0] for run in runs]
    assert all(run.returncode == 0 for run in runs)
    assert "".join(said[:2]).count("trained") == 1
    assert len({text.removeprefix("trained\n") for text in said}) == 1


def test_a_small_corpus_has_fewer_pieces(tmp_path):
    size = len(json.loads(train_bpe(["ab ab"], 10_000))["model"]["vocab"])
    assert 256 < size < 260


def test_a_file_that_is_one_word(tmp_path):
    word = "".join(random.Random(0).choices("abcdefgh", k=500_000))
    start = time.perf_counter()
    vocabulary = Subwords(train_bpe([word], 300))
    ids = vocabulary.encode(word)
    assert time.perf_counter() - start < 30  # it takes 1 s; without a limit, minutes
    assert vocabulary.decode(ids.tolist()) == word


def test_too_few_pieces(text_file):
    with pytest.raises(ValueError, match="vocabulary_size=255 must be at least 256"):
        make(text_file, vocabulary_size=255)
