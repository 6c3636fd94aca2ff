import json
import time
from itertools import chain

import datasets
import pytest
import torch
from datasets import Dataset, DatasetDict
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from lightning_posenc.data import TextData
from lightning_posenc.data.text import hub
from lightning_posenc.data.text.vocabulary import Bytes, Chars

pytestmark = pytest.mark.usefixtures("private_cache")
TEXT = "".join(f"{n} times {n} is {n * n}.\n" for n in range(200))
DOCUMENTS = [f"document {n}" * (n + 1) for n in range(20)]


@pytest.fixture
def text_file(tmp_path):
    file = tmp_path / "numbers.txt"
    file.write_text(TEXT)
    return str(file)


def ready(*args, **kwargs):
    data = TextData(*args, **kwargs)
    data.prepare_data()
    data.setup()
    return data


def whole_text(data, split):
    return data.decode(data._packed[split].tokens.tolist())


@pytest.mark.parametrize("fraction", [0.1, 0.25])
def test_one_document_is_cut_at_a_character(text_file, fraction):
    data = ready(text_file, vocabulary="chars", val_fraction=fraction)
    cut = int((1 - fraction) * len(TEXT))
    assert whole_text(data, "train") == TEXT[:cut]
    assert whole_text(data, "val") == TEXT[cut:]
    assert data.vocab_size == len(set(TEXT))
    assert data.vocabulary == Chars("".join(sorted(set(TEXT))))


def test_the_cut_falls_between_characters_not_bytes(tmp_path):
    file = tmp_path / "accents.txt"
    file.write_text("é" * 1000, encoding="utf-8")
    data = ready(str(file), train_length=8)
    assert [len(data._packed[split].tokens) for split in ("train", "val")] == [1800, 200]


def test_training_blocks_are_text_and_its_continuation(text_file):
    data = ready(text_file, vocabulary="chars", train_length=32, batch_size=4)
    train = TEXT[: int(0.9 * len(TEXT))]
    starts = set()
    for batch in data.train_dataloader():
        assert batch.tokens.shape == batch.targets.shape == (4, 32)
        assert batch.documents is batch.lengths is batch.positions is None
        for tokens, targets in zip(batch.tokens, batch.targets, strict=True):
            at = train.index(data.decode(tokens.tolist()))
            assert data.decode(targets.tolist()) == train[at + 1 : at + 33]
            assert at % 32 == 0
            starts.add(at)
    # One epoch is one pass, less the blocks that fill no batch.
    assert len(starts) == (len(train) - 1) // 32 // 4 * 4


def test_evaluation_reads_the_validation_text_in_order(text_file):
    data = ready(text_file, vocabulary="chars", train_length=16, eval_lengths=[16, 50])
    val = TEXT[int(0.9 * len(TEXT)) :]
    loaders = [data.val_dataloader(), *data.test_dataloader()]
    for loader, length in zip(loaders, (16, 16, 50), strict=True):
        read = "".join(data.decode(row) for batch in loader for row in batch.tokens.tolist())
        assert read == val[: (len(val) - 1) // length * length]


def test_prediction_reads_all_of_the_text_in_order(text_file):
    """B4: the last block is shorter, and its last token is followed by none."""
    data = ready(text_file, vocabulary="chars", train_length=16)
    read, scored = "", []
    for batch in data.predict_dataloader():
        lengths = [16] * len(batch.tokens) if batch.lengths is None else batch.lengths.tolist()
        for row, targets, length in zip(batch.tokens, batch.targets, lengths, strict=True):
            read += data.decode(row[:length].tolist())
            scored += targets[:length].tolist()
            assert (targets[length:] == -100).all()
    assert read == TEXT
    assert data.decode(scored[:-1]) == TEXT[1:]
    assert scored[-1] == -100


def test_pythons_documentation_ships_with_python():
    data = ready("python_docs", vocabulary="chars", separate_documents=True)
    assert "The simple form" in whole_text(data, "train")
    assert data.vocab_size == len({*whole_text(data, "train"), *whole_text(data, "val")})
    assert len(data._packed["train"].starts) > 30
    batch = next(iter(data.train_dataloader()))
    assert batch.documents.shape == batch.tokens.shape == (32, 128)


def save(documents, folder, kind):
    file = folder / f"documents.{kind}"
    if kind == "parquet":
        Dataset.from_dict({"body": documents}).to_parquet(file)
    elif kind == "csv":
        Dataset.from_dict({"body": documents}).to_csv(file)
    else:
        file.write_text("\n".join(json.dumps({"body": text}) for text in documents))
    return str(file)


@pytest.mark.parametrize("kind", ["parquet", "json", "jsonl", "csv"])
def test_of_many_documents_the_last_are_for_validation(tmp_path, kind):
    file = save(DOCUMENTS, tmp_path, kind)
    data = ready(file, text_column="body", train_length=8, val_fraction=0.2)
    assert whole_text(data, "train") == "".join(DOCUMENTS[:16])
    assert whole_text(data, "val") == "".join(DOCUMENTS[16:])
    starts = [0]
    for text in DOCUMENTS[:15]:
        starts.append(starts[-1] + len(text))
    assert data._packed["train"].starts.tolist() == starts


def test_empty_documents_leave_no_trace(tmp_path):
    file = save(["", "first " * 9, "", None, "second " * 9, "", "val " * 9], tmp_path, "parquet")
    data = ready(file, text_column="body", train_length=8, separate_documents=True)
    assert data._packed["train"].starts.tolist() == [0, 54]
    assert whole_text(data, "train") == "first " * 9 + "second " * 9


def test_a_corpus_of_several_chunks(tmp_path):
    documents = [f"{n:05d}" for n in range(2500)]
    data = ready(save(documents, tmp_path, "parquet"), text_column="body", train_length=8)
    assert whole_text(data, "train") == "".join(documents[:2250])
    assert data._packed["train"].starts.tolist() == list(range(0, 5 * 2250, 5))


def test_a_validation_split_of_the_source_is_used(monkeypatch):
    splits = DatasetDict(
        train=Dataset.from_dict({"text": ["train " * 30], "other": [1]}),
        validation=Dataset.from_dict({"text": ["VAL " * 30], "other": [2]}),
    )
    asked = []

    def load_dataset(*args, **kwargs):
        asked.append((args, kwargs))
        return splits

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    monkeypatch.setattr(hub, "unreachable", lambda: None)
    data = ready("someone/texts", subset="small", vocabulary="chars", train_length=8)
    assert asked[0] == (("someone/texts",), {"name": "small"})
    assert whole_text(data, "train") == "train " * 30
    assert whole_text(data, "val") == "VAL " * 30
    assert data.vocabulary == Chars("".join(sorted(set("train VAL"))))


def test_a_tokenizer_of_ones_own(tmp_path, text_file):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([TEXT], trainer)
    file = tmp_path / "tokenizer.json"
    tokenizer.save(str(file))
    data = TextData(text_file, vocabulary=str(file), train_length=16)
    assert data.vocab_size == tokenizer.get_vocab_size()
    data.prepare_data()
    data.setup()
    cut = int(0.9 * len(TEXT))
    assert data._packed["train"].tokens.tolist() == tokenizer.encode(TEXT[:cut]).ids


def test_the_size_of_the_vocabulary_is_known_before_the_text_is_prepared(text_file):
    assert TextData("nowhere/to/be/found").vocab_size == 256
    data = TextData(text_file, vocabulary="chars")
    assert data.vocab_size == len(set(TEXT))
    assert data._packed == {}


@pytest.mark.parametrize("vocabulary", ["bytes", "chars"])
@pytest.mark.parametrize("source", ["text", "parquet", "python_docs"])
def test_text_is_tokenised_once(
    tmp_path, monkeypatch, text_file, private_cache, vocabulary, source
):
    parquet = save(DOCUMENTS, tmp_path, "parquet") if source == "parquet" else None
    path = {"text": text_file, "parquet": parquet}.get(source, source)
    options = {"vocabulary": vocabulary, "train_length": 8}
    if source == "parquet":
        options["text_column"] = "body"
    first = ready(path, **options)

    def arrow_files():
        return {f: f.stat().st_mtime_ns for f in private_cache.rglob("*.arrow")}

    before = arrow_files()
    assert before

    def again(*args):
        raise AssertionError("tokenised a second time")

    monkeypatch.setattr({"bytes": Bytes, "chars": Chars}[vocabulary], "encode", again)
    second = ready(path, **options)
    assert arrow_files() == before
    assert (second._packed["train"].tokens == first._packed["train"].tokens).all()


def test_a_changed_file_is_read_again(text_file):
    ready(text_file, train_length=8)
    changed = TEXT.upper()
    with open(text_file, "w") as file:
        file.write(changed)
    assert whole_text(ready(text_file, train_length=8), "val") == changed[int(0.9 * len(TEXT)) :]


def test_the_order_is_that_of_the_seed(text_file):
    def order(**options):
        data = ready(text_file, train_length=8, **options)
        return list(chain(*(batch.tokens.tolist() for batch in data.train_dataloader())))

    assert order(seed=1) == order(seed=1)
    assert order(seed=1) != order(seed=2)
    # Another batch size cuts the same stream.
    ours, theirs = order(batch_size=32), order(batch_size=12)
    n = min(len(ours), len(theirs))
    assert ours[:n] == theirs[:n]


@pytest.mark.parametrize(
    "path", ["missing.txt", "./missing", "/no/such/file", "a/b/c", "~/missing.parquet"]
)
def test_a_missing_file(path):
    with pytest.raises(FileNotFoundError, match=r"does not exist: give an existing file") as error:
        TextData(path).prepare_data()
    assert path in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("vocabulary", ["bytes", "chars"])
def test_an_empty_file(tmp_path, vocabulary):
    file = tmp_path / "empty.txt"
    file.touch()
    with pytest.raises(ValueError, match=r"empty\.txt is empty: give a source with text in it$"):
        ready(str(file), vocabulary=vocabulary)


def test_too_little_text(tmp_path):
    file = tmp_path / "short.txt"
    file.write_text("x" * 100)
    too_few = "10 tokens of val text are too few for one block of 10"
    with pytest.raises(ValueError, match=too_few) as error:
        ready(str(file), train_length=10)
    assert str(file) in str(error.value)
    with pytest.raises(ValueError, match="too few for one block of 64"):
        ready(str(file), train_length=4, eval_lengths=[64])
    assert len(list(ready(str(file), train_length=9).val_dataloader())) == 1


def test_a_file_of_an_unknown_kind(tmp_path):
    file = tmp_path / "text.docx"
    file.touch()
    with pytest.raises(ValueError, match=r"of no known kind: give one of \.txt, \.parquet"):
        TextData(str(file)).prepare_data()


def test_a_damaged_file(tmp_path):
    file = tmp_path / "broken.parquet"
    file.write_text("this is not parquet")
    with pytest.raises(
        ValueError, match=r"broken\.parquet could not be loaded \(.+\): give"
    ) as error:
        TextData(str(file)).prepare_data()
    assert "\n" not in str(error.value)


def test_another_column(tmp_path):
    with pytest.raises(ValueError, match=r"no column 'text': set data\.text_column to one of body"):
        TextData(save(DOCUMENTS, tmp_path, "jsonl")).prepare_data()


@pytest.mark.parametrize("offline", [True, False])
def test_no_network(monkeypatch, private_cache, offline):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(hub, "unreachable", lambda: "no network: name not known")
    start = time.perf_counter()
    with pytest.raises(ValueError, match=r"^data\.path=some/data is no file here") as error:
        TextData("some/data").prepare_data()
    assert time.perf_counter() - start < 2  # the library alone tries again and again over 23 s
    why = "HF_HUB_OFFLINE is set" if offline else "no network: name not known"
    do = "unset HF_HUB_OFFLINE" if offline else "connect"
    assert f"cannot be fetched ({why}) and is not in the cache {private_cache}" in str(error.value)
    assert f": {do} to download it once, or give a local file" in str(error.value)
    assert "\n" not in str(error.value)
    assert datasets.config.HF_HUB_OFFLINE is offline


def test_a_failure_of_the_hub(monkeypatch):
    def load_dataset(*args, **kwargs):
        raise ConnectionError("The Hub is ill\nand more")

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    monkeypatch.setattr(hub, "unreachable", lambda: None)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
    with pytest.raises(ValueError, match=r"^data\.path=a/b could not be loaded \(The Hub is ill\)"):
        TextData("a/b").prepare_data()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"path": ""}, ValueError, r"data\.path is empty"),
        ({"val_fraction": 0.0}, ValueError, r"val_fraction=0\.0 must be a number in \(0, 1\)"),
        ({"val_fraction": 1.0}, ValueError, r"val_fraction=1\.0 must be a number in \(0, 1\)"),
        ({"train_length": 0}, ValueError, "train_length=0 must be at least 1"),
        ({"eval_lengths": []}, ValueError, r"eval_lengths=\[\] must name at least one"),
        ({"eval_lengths": [8, 0]}, ValueError, "eval_lengths=0 must be at least 1"),
        ({"steps_per_epoch": 0}, ValueError, "steps_per_epoch=0 must be at least 1"),
    ],
)
def test_errors_at_construction(options, error, message):
    with pytest.raises(error, match=message):
        TextData(**options)


def test_a_tokenizer_that_is_not_there():
    with pytest.raises(FileNotFoundError, match="give bytes, chars, bpe, or the JSON file"):
        _ = TextData(vocabulary="missing.json").vocab_size


def test_a_file_that_is_no_tokenizer(text_file):
    with pytest.raises(ValueError, match=r"numbers\.txt is not a tokenizer's JSON file"):
        _ = TextData(text_file, vocabulary=text_file).vocab_size


def test_fetching_a_batch_is_fast(text_file):
    blocks = ready(text_file, train_length=64)._dataset("train", 64)
    indices = torch.arange(12).tolist()
    seconds = []
    for _ in range(50):
        start = time.perf_counter()
        blocks.__getitems__(indices)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 3e-4
