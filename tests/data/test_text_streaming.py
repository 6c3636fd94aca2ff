"""Text as a stream: what it holds, for any ranks and workers, resumed, and from bad files."""

import json
from itertools import chain, islice

import numpy as np
import pytest
import torch
from datasets import Dataset

from lightning_posenc.cli import main
from lightning_posenc.data import TextData
from lightning_posenc.data.text.streamed import shuffled

pytestmark = [
    pytest.mark.usefixtures("private_cache"),
    # `datasets` leaves files open where a stream is left before its end.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
]
LINES = [f"line {n} is about {n * n}é.\n" for n in range(900)]


def write(folder, lines=LINES, name="text.txt"):
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text("".join(lines), encoding="utf-8")
    return str(file)


def make(path, **options):
    defaults = {"train_length": 32, "batch_size": 4, "steps_per_epoch": 10, "shuffle_buffer": 0}
    return TextData(
        path, streaming=True, **defaults | {"val_documents": 100, "eval_lengths": [8]} | options
    )


def ready(path, rank=0, world_size=1, **options):
    data = make(path, **options)
    data._rank_and_world_size = lambda: (rank, world_size)
    data.prepare_data()
    data.setup()
    return data


def tokens(loader, n):
    return [batch.tokens.tolist() for batch in islice(iter(loader), n)]


def text(data, loader):
    return bytes(chain(*chain(*(batch.tokens.tolist() for batch in loader))))


def test_without_a_buffer_it_is_the_text_in_order(tmp_path):
    data = ready(write(tmp_path))
    train = "".join(LINES[100:]).encode()
    n = len(train) // 32 // 4
    assert len(data.train_dataloader()) == 10
    read = bytes(chain(*chain(*tokens_of_epochs(data, n // 10))))
    assert read == train[: len(read)]
    assert len(read) == n // 10 * 10 * 4 * 32
    val = "".join(LINES[:100]).encode()
    assert text(data, data.val_dataloader()) == val[: (len(val) - 1) // 32 * 32]
    assert text(data, data.test_dataloader()[0]) == val[: (len(val) - 1) // 8 * 8]


def test_a_second_pass_follows_the_first_and_a_buffer_shuffles_each(tmp_path):
    path = write(tmp_path)
    n_blocks = (len("".join(LINES[100:]).encode()) - 1) // 32
    blocks = {}
    for buffer in (0, 50):
        data = ready(path, shuffle_buffer=buffer, batch_size=1, seed=3)
        batches = tokens_of_epochs(data, 2 * n_blocks // 10 + 1)
        blocks[buffer] = [batch[0] for batch in batches][: 2 * n_blocks]
    ordered = blocks[0][:n_blocks]
    assert blocks[0][n_blocks:] == ordered
    first, second = blocks[50][:n_blocks], blocks[50][n_blocks:]
    assert sorted(first) == sorted(second) == sorted(ordered)
    assert first != second != ordered != first


def test_shuffled_keeps_everything():
    rng = np.random.default_rng(0)
    for n, size in ((10, 3), (3, 10), (0, 4), (7, 0)):
        assert sorted(shuffled(iter(range(n)), size, rng)) == list(range(n))
    assert list(shuffled(iter(range(100)), 10, np.random.default_rng(0))) != list(range(100))


@pytest.mark.parametrize("world_size", [2, 4])
def test_one_file_gives_any_number_of_ranks_the_same_batches(tmp_path, world_size):
    path = write(tmp_path)
    options = {"shuffle_buffer": 30, "batch_size": 8}  # 40 batches: several passes
    whole = tokens_of_epochs(ready(path, **options), 4)
    assert merged_epochs(path, world_size, 4, **options) == whole


def tokens_of_epochs(data, n):
    loader = data.train_dataloader()
    # Within a trainer, `consumed` moves on by itself.
    loader.consumed = lambda: loader._next
    return [batch for _ in range(n) for batch in tokens(loader, 10)]


def merged_epochs(path, world_size, n, **options):
    ranks = [
        tokens_of_epochs(ready(path, rank, world_size, **options), n) for rank in range(world_size)
    ]
    return [list(chain(*zip(*shares, strict=True))) for shares in zip(*ranks, strict=True)]


def folder_of_files(tmp_path, n=4):
    for number in range(n):
        write(tmp_path / "train", LINES[number::n], f"train-{number}.txt")
    write(tmp_path / "train", ["to validate\n"] * 20, "validation.txt")
    return str(tmp_path / "train")


@pytest.mark.slow
@pytest.mark.parametrize(("world_size", "num_workers"), [(1, 0), (1, 2), (2, 0), (2, 2), (3, 0)])
def test_many_files_are_divided_without_repeats(tmp_path, world_size, num_workers):
    path = folder_of_files(tmp_path)
    options = {"batch_size": 3 * world_size, "num_workers": num_workers, "val_documents": 5}
    batches = merged_epochs(path, world_size, 2, **options)
    assert batches == merged_epochs(path, world_size, 2, **options)
    blocks = [tuple(row) for batch in batches for row in batch]
    assert len(blocks) == 20 * 3 * world_size
    assert len(set(blocks)) == len(blocks)
    data = ready(path, **options)
    assert text(data, data.val_dataloader()) == (b"to validate\n" * 5)[:32]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_kinds_of_files_and_documents(tmp_path, kind):
    file = tmp_path / f"rows.{kind}"
    rows = {"body": [line if n % 7 else None for n, line in enumerate(LINES)]}
    if kind == "jsonl":
        file.write_text("\n".join(json.dumps({"body": line}) for line in rows["body"]))
    else:
        getattr(Dataset.from_dict(rows), f"to_{kind}")(file)
    options = {"text_column": "body", "separate_documents": True, "reset_positions": True}
    data = ready(str(file), **options)
    batch = next(iter(data.train_dataloader()))
    assert (
        bytes(batch.tokens.flatten().tolist())
        == "".join(line for line in rows["body"][100:] if line).encode()[:128]
    )
    new_line = batch.tokens == ord("\n")
    assert ((batch.targets == -100) == new_line).all()
    starts = new_line.roll(1, 1)
    starts[:, 0] = True
    assert ((batch.positions == 0) == starts).all()
    assert ((batch.documents.diff() != 0) == new_line[:, :-1]).all()


def test_bpe_of_a_stream(tmp_path):
    path = write(tmp_path)
    data = ready(path, vocabulary="bpe", vocabulary_size=300)
    assert data.vocab_size == 300
    decoded = data.decode(next(iter(data.train_dataloader())).tokens[0].tolist())
    assert "".join(LINES[100:]).startswith(decoded)


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("killed_at", [14, 21])
def test_a_killed_run_goes_on_where_it_was(tmp_path, trainer, recorder, num_workers, killed_at):
    path = write(tmp_path)
    options = {"shuffle_buffer": 20, "num_workers": num_workers}
    model = recorder()
    trainer(max_epochs=3).fit(model, datamodule=make(path, shuffle_buffer=20))
    whole = model.seen
    assert len(whole) == 30
    assert all(batch not in whole[:n] for n, batch in enumerate(whole))
    model = recorder(fail_at=killed_at)
    with pytest.raises(RuntimeError, match="killed"):
        trainer(7, max_epochs=3).fit(model, datamodule=make(path, **options))
    assert model.seen == whole[:killed_at]
    step = killed_at // 7 * 7 if killed_at % 7 else killed_at
    model = recorder()
    checkpoint = tmp_path / f"step={step}.ckpt"
    trainer(7, max_epochs=3).fit(model, datamodule=make(path, **options), ckpt_path=checkpoint)
    assert model.seen == whole[step:]
    with pytest.raises(ValueError, match=r"cannot resume with data\.batch_size=8: .* with 4; resu"):
        trainer(7, max_epochs=3).fit(
            recorder(), datamodule=make(path, batch_size=8, **options), ckpt_path=checkpoint
        )


def test_drawing_batches_leaves_the_global_generator_alone(tmp_path):
    loader = ready(write(tmp_path), shuffle_buffer=20).train_dataloader()
    before = torch.get_rng_state()
    assert len(tokens(loader, 3)) == 3
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps_per_epoch": None}, "data.steps_per_epoch is needed with data.streaming"),
        ({"vocabulary": "chars"}, "data.vocabulary=chars is not known before all text was read"),
        ({"shuffle_buffer": -1}, "TextData: shuffle_buffer=-1 must be at least 0"),
        ({"val_documents": 0}, "TextData: val_documents=0 must be at least 1"),
    ],
)
def test_errors_at_construction(options, said):
    with pytest.raises(ValueError, match=said):
        make("text.txt", **options)


def test_sources_that_cannot_be_streamed(tmp_path):
    with pytest.raises(ValueError, match="python_docs is small: leave"):
        make("python_docs").prepare_data()
    for number in range(3):
        write(tmp_path / "files", LINES, f"{number}.txt")
    with pytest.raises(ValueError, match="has 3 files and no validation split"):
        make(str(tmp_path / "files")).prepare_data()
    with pytest.raises(ValueError, match=r"data\.batch_size=4 cannot be shared by 3 ranks"):
        ready(write(tmp_path), 0, 3).train_dataloader()


FIT = [
    "fit",
    "--model=LanguageModel",
    "--model.encoder={d_model: 16, n_heads: 2, n_layers: 1}",
    "--data=TextData",
    "--data.streaming=true",
    "--data.train_length=8",
    "--data.val_documents=20",
    "--data.steps_per_epoch=3",
    "--trainer.max_epochs=2",
    "--trainer.log_every_n_steps=1",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
]


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [0, 1])
def test_from_the_command_line(tmp_path, capsys, num_workers):
    good = write(tmp_path)
    arguments = [*FIT, f"--data.num_workers={num_workers}"]
    assert main([*arguments, f"--data.path={good}", f"--run_dir={tmp_path / 'run'}"]) == 0
    capsys.readouterr()
    # Long enough for the bytes that are no text to be met in the middle of training.
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"all is well\n" * 40 + b"x" * (11 << 20) + b"\n\xff\xfe\n")
    assert main([*arguments, f"--data.path={bad}", f"--run_dir={tmp_path / 'bad'}"]) in (0, 2)
    bad.write_bytes(b"all is well\n" * 40 + b"\xff\xfe\n")
    assert main([*arguments, f"--data.path={bad}", f"--run_dir={tmp_path / 'worse'}"]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "bad.txt is not UTF-8 text ('utf-8' codec can't decode byte 0xff" in errors[-1]
    short = write(tmp_path, [*LINES[:20], "x"], "short.txt")
    assert main([*arguments, f"--data.path={short}", f"--run_dir={tmp_path / 'short'}"]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "short.txt: a file holds too little text for one block of 8 tokens" in errors[0]
