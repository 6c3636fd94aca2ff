"""Bad files: one clear line each, status 2, and nothing left that breaks the next start."""

import json
import random

import pytest
from datasets import Dataset

from lightning_posenc.cli import main
from lightning_posenc.data import TextClassificationData, TextData

pytestmark = [
    pytest.mark.usefixtures("private_cache"),
    # pandas leaves a file open that it cannot read.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ROWS = [{"text": f"row number {n} of the file", "label": n % 2} for n in range(50)]
TINY = [
    "--model.encoder={d_model: 16, n_heads: 2, n_layers: 1}",
    "--data.train_length=8",
    "--data.batch_size=2",
    "--trainer.fast_dev_run=1",
    "--trainer.accelerator=cpu",
]
TEXT = ["--model=LanguageModel", "--data=TextData"]
CLASSES = ["--model=SequenceClassifier", "--data=TextClassificationData"]
STREAM = [*TEXT, "--data.streaming=true", "--data.steps_per_epoch=2", "--data.val_documents=5"]
OTHER_LABEL = {"text": [], "stream": [], "classes": ["--data.label_column=text"]}
EVERY = {"text": TEXT, "classes": CLASSES, "stream": STREAM}


def write(file, rows=ROWS):
    if file.suffix == ".parquet":
        Dataset.from_list(rows).to_parquet(file)
    elif file.suffix == ".csv":
        Dataset.from_list(rows).to_csv(file)
    elif file.suffix == ".txt":
        file.write_text("\n".join(row["text"] for row in rows))
    else:
        file.write_text("\n".join(map(json.dumps, rows)))


def ready(file, arguments):
    """The data module of these arguments, with the first of its batches read."""
    options = {"path": str(file), "train_length": 8, "batch_size": 2}
    if "--data.streaming=true" in arguments:
        options |= {"streaming": True, "steps_per_epoch": 2, "val_documents": 5}
    data = (TextClassificationData if arguments == CLASSES else TextData)(**options)
    data.prepare_data()
    data.setup()
    assert next(iter(data.train_dataloader())).tokens.shape == (2, 8)


@pytest.fixture
def error(tmp_path, capsys):
    """The one line that a command says of a file; the same file, mended, must then be read."""

    def run(file, arguments, mend=True):
        run_dir = f"--run_dir={tmp_path / 'run'}"
        assert main(["fit", *arguments, *TINY, f"--data.path={file}", run_dir]) == 2
        said = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
        assert len(said) == 1
        assert said[0].startswith("error: ")
        assert str(file) in said[0]
        if mend:
            write(file)
            ready(file, arguments)
        return said[0]

    return run


def kinds(*kinds, of=("text", "classes", "stream")):
    cases = [(kind, name) for kind in kinds for name in of if (kind, name) != ("txt", "classes")]
    met = set()  # each kind of file, and each reader, once by default; the other pairs are slow
    params = []
    for kind, name in cases:
        new = {kind, name} - met
        met |= new
        params.append(
            pytest.param(kind, name, id=f"{kind}-{name}", marks=[] if new else [pytest.mark.slow])
        )
    return pytest.mark.parametrize(("kind", "name"), params)


@kinds("txt", "csv", "jsonl", "json", "parquet")
def test_empty(tmp_path, error, kind, name):
    file = tmp_path / f"file.{kind}"
    file.touch()
    assert "is empty: give a source with text in it" in error(file, EVERY[name])


@kinds("csv", "jsonl", of=["text", "classes"])
def test_rows_without_text(tmp_path, error, kind, name):
    file = tmp_path / f"file.{kind}"
    write(file, [{"text": "", "label": 0}] * 10 if name == "text" else ROWS[:1])
    said = error(file, EVERY[name])
    why = "0 tokens of train text are too few"
    assert (why if name == "text" else "has 1 text(s): give at least 2") in said


@kinds("txt", "csv", "jsonl", "json", "parquet", of=["text", "stream"])
def test_binary(tmp_path, error, kind, name):
    file = tmp_path / f"file.{kind}"
    file.write_bytes(b"\x7fELF" + random.Random(0).randbytes(5000))
    said = error(file, EVERY[name])
    assert "is not UTF-8 text" in said or "could not be loaded" in said


@kinds("txt", "csv", "jsonl")
def test_latin_1(tmp_path, error, kind, name):
    file = tmp_path / f"file.{kind}"
    write(file)
    file.write_bytes(file.read_bytes().replace(b"number 30", b"\xfcber 30"))
    said = error(file, EVERY[name])
    assert "is not UTF-8 text (" in said
    assert "convert it (iconv -t UTF-8)" in said


@kinds("txt", "csv", "jsonl", "parquet")
def test_wrong_column(tmp_path, error, kind, name):
    file = tmp_path / f"file.{kind}"
    write(file)
    said = error(file, [*EVERY[name], "--data.text_column=body"], mend=False)
    assert "has no column 'body': set data.text_column to one of text" in said


@kinds("csv", "jsonl", "parquet")
def test_a_column_of_numbers(tmp_path, error, kind, name):
    file = tmp_path / f"file.{kind}"
    write(file)
    said = error(file, [*EVERY[name], "--data.text_column=label", *OTHER_LABEL[name]], mend=False)
    assert "column 'label' holds int" in said
    assert "set data.text_column to one that holds text" in said


@kinds("csv", "jsonl", "parquet", of=["classes"])
def test_label_missing(tmp_path, error, kind, name):
    file = tmp_path / f"file.{kind}"
    write(file, [*ROWS[:5], {"text": "whose?", "label": None}, *ROWS[5:]])
    assert "1 of 51 train texts have no label in column 'label', the first of them row 5" in error(
        file, EVERY[name]
    )


@pytest.mark.parametrize(
    ("kind", "name"),
    [("txt", "text"), ("csv", "classes"), ("jsonl", "stream"), ("parquet", "text")],
)
@pytest.mark.slow
def test_a_line_of_50_mb_is_read(tmp_path, kind, name):
    file = tmp_path / f"file.{kind}"
    write(file, [*ROWS, {"text": "long " * 10**7, "label": 0}, *ROWS])
    ready(file, EVERY[name])
