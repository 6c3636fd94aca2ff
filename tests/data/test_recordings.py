"""Recordings in files and what is said in them: read as they are, or refused in one line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lightning_posenc.cli import main
from lightning_posenc.data import FrameData, LogMel
from lightning_posenc.data.frames import tones
from lightning_posenc.draws import Draws

soundfile = pytest.importorskip("soundfile")
RATE, N = 8000, 8
MEL = LogMel(RATE, 20)
CONFIG = Path(__file__).parents[2] / "configs" / "tones_conformer.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight recordings of 1 to 8 symbols, each a letter, and the table of them."""
    melody = tones.drawn_melody(Draws(0, "test", torch.arange(N)), torch.arange(1, N + 1), 4)
    audio, n_samples = tones.sound(melody, noise=0.1)
    lines = ["file,said"]
    for row in range(N):
        name = f"{row}.{'flac' if row % 2 else 'wav'}"
        sound = 0.5 * audio[row, : n_samples[row]].numpy()
        soundfile.write(tmp_path / name, np.stack([sound, 0.5 * sound], axis=1), RATE)
        said = "".join(chr(97 + n) for n in melody.symbols[row, : row + 1].tolist())
        lines.append(f"{name},{said}")
    (tmp_path / "metadata.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def data(path: Path, **options: Any) -> FrameData:
    columns = {"audio_column": "file", "text_column": "said", "features": MEL, "batch_size": 4}
    return FrameData(str(path), **{**columns, **options})


def test_frames_are_those_of_the_samples_and_transcripts_those_of_the_table(folder: Path) -> None:
    """In a batch as alone; the mean of two channels is heard; a folder is as its table."""
    of_folder, of_table = data(folder), data(folder / "metadata.csv")
    for each in (of_folder, of_table):
        each.setup("predict")
    batches = list(of_folder.predict_dataloader())
    assert [len(batch.tokens) for batch in batches] == [4, 4]
    table = (folder / "metadata.csv").read_text().splitlines()[1:]
    for row, line in enumerate(table):
        name, said = line.split(",")
        batch, place = batches[row // 4], row % 4
        samples, _ = soundfile.read(folder / name, dtype="float32")
        mono = torch.from_numpy(samples.mean(axis=1))[None]
        expected, n_frames = MEL(mono, torch.tensor([mono.shape[1]]))
        assert batch.lengths is not None
        assert batch.lengths[place] == n_frames[0] == expected.shape[1]
        torch.testing.assert_close(batch.tokens[place, : n_frames[0]], expected[0])
        ids = [n for n in batch.targets[place].tolist() if n >= 0]
        assert of_folder.printed_answer(ids) == said
    assert of_folder.n_classes == len({c for line in table for c in line.split(",")[1]})
    (first, _) = of_table.predict_dataloader()
    assert torch.equal(first.tokens, batches[0].tokens)


def test_each_tested_length_has_the_recordings_up_to_it(folder: Path) -> None:
    """And training those that are no longer than its own."""
    some = data(folder, eval_lengths=[150, 250, 1000], train_length=200, val_fraction=0.25)
    some.setup("fit")
    lengths = [
        [n for batch in loader for n in batch.lengths.tolist()]
        for loader in data_of_other(folder, eval_lengths=[150, 250, 1000]).test_dataloader()
    ]
    assert sum(map(len, lengths)) == N
    assert all(0 < n <= 150 for n in lengths[0])
    assert all(150 < n <= 250 for n in lengths[1])
    assert all(n > 250 for n in lengths[2])
    trained = some._dataset("train", some.train_length)
    assert 0 < len(trained) < 6
    assert trained[0].lengths.max() <= 200
    with pytest.raises(
        ValueError, match="none of 6 train recordings has more than 0 and at most 3"
    ):
        some._dataset("train", 3)


def data_of_other(folder: Path, **options: Any) -> FrameData:
    """As data that nothing was trained on, all of whose recordings are tested."""
    other = data(folder, **options)
    other.adopt(data(folder).state_dict() | {"stream": {}})
    other._trained_path = "another"
    other.setup("test")
    return other


def test_what_is_to_be_written_down_has_no_transcripts(folder: Path, trainer: Any) -> None:
    """All recordings are predicted, however long, and named; a test wants transcripts."""
    state = data(folder).state_dict() | {"stream": {}}
    table = (folder / "metadata.csv").read_text().splitlines()
    (folder / "new.csv").write_text("\n".join(line.split(",")[0] for line in table) + "\n")
    other = data(folder / "new.csv", eval_lengths=[150, 1000])
    other.adopt(state)
    other.trainer = runs = trainer()
    runs.state.fn = "predict"
    other.setup("predict")
    batches = list(other.predict_dataloader())
    assert sum(len(batch.tokens) for batch in batches) == N
    assert max(int(batch.lengths.max()) for batch in batches) > 150
    assert other.predicted(3, [0], None) == {"file": "3.flac", "prediction": other.decode([0])}
    runs.state.fn = "test"
    with pytest.raises(ValueError, match="has no column 'said'"):
        other.setup("test")


def broken(folder: Path, what: str) -> None:
    """One thing in the folder is not as it should be."""
    table = folder / "metadata.csv"
    lines = table.read_text().splitlines()
    if what == "rate":
        soundfile.write(folder / "2.wav", np.zeros(1000), 44100)
    elif what == "unreadable":
        (folder / "2.wav").write_bytes(b"no audio at all" * 20)
    elif what == "empty":
        soundfile.write(folder / "2.wav", np.zeros(0), RATE)
    elif what == "not a number":
        soundfile.write(folder / "2.wav", np.full(1000, np.nan), RATE, subtype="FLOAT")
    elif what == "missing":
        (folder / "2.wav").unlink()
    elif what == "transcript":
        lines[3] = "2.wav,"
    elif what == "unnamed":
        lines[3] = ",abc"
    elif what == "table":
        table.rename(folder / "others.csv")
        return
    table.write_text("\n".join(lines) + "\n")


WRONG = {
    "rate": r"row 2 .*: 2.wav has 44100 samples a second, and data.features.rate=8000: resample",
    "unreadable": r"row 2 .*: 2.wav cannot be read as audio \(.*\): convert it to WAV or FLAC",
    "empty": r"row 2 .*: 2.wav has no samples: leave it out",
    "not a number": r"row 2 .*: 2.wav holds samples that are NaN or beyond 1e\+06: convert it anew",
    "missing": r"row 2 .*: there is no file .*2.wav: paths begin at the table's folder",
    "transcript": r"1 of 8 train recordings have no transcript in column 'said', .* row 2",
    "unnamed": r"row 2 .*: it names no file: fill in data.audio_column",
    "table": r"has no metadata.csv, metadata.jsonl, metadata.parquet: name each recording",
}


def read(folder: Path) -> None:
    each = data(folder)
    each.setup("predict")
    list(each.predict_dataloader())


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_one_line(folder: Path, what: str) -> None:
    broken(folder, what)
    with pytest.raises(ValueError, match=rf"^data.path={folder}.*{WRONG[what]}") as error:
        read(folder)
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "options", "said"),
    [
        ("rate", [], "2.wav has 44100 samples a second"),
        ("nothing", ["--model.inputs.n_features=40"], "(B, N, n_features=40)"),
        ("long", [], "CTCModel: a transcript of 900 tokens wants"),
    ],
)
def test_the_command_ends_with_that_line(
    folder: Path, what: str, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2; so do features of another width, and a transcript that is longer than its frames."""
    broken(folder, what)
    if what == "long":
        table = folder / "metadata.csv"
        table.write_text("file,said\n" + f"0.wav,{'ab' * 450}\n1.flac,{'ba' * 450}\n" * 4)
    command = ["fit", f"--config={CONFIG}", "--data=FrameData", f"--data.path={folder}",
               "--data.audio_column=file", "--data.text_column=said", "--data.features=LogMel",
               f"--data.features.rate={RATE}", "--data.features.n_mels=20",
               "--data.eval_lengths=null", "--data.steps_per_epoch=null",
               "--data.train_length=2000",
               "--trainer.fast_dev_run=1", f"--run_dir={folder / 'run'}"]  # fmt: skip
    assert main([*command, *options]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(lines) == 1
    assert said in lines[0]


def test_a_dataset_with_an_audio_column_is_read_undecoded(tmp_path: Path) -> None:
    """As Hugging Face keeps it: what a file holds, in the table itself."""
    from datasets import Audio, Dataset

    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(4000) / 5), RATE)
    content = (tmp_path / "a.wav").read_bytes()
    rows = {"audio": [{"bytes": content, "path": "a.wav"}] * 4, "text": ["ab", "ba", "a", "b"]}
    table = Dataset.from_dict(rows).cast_column("audio", Audio(decode=False))
    table.to_parquet(tmp_path / "rows.parquet")
    given = FrameData(str(tmp_path / "rows.parquet"), features=MEL, batch_size=4)
    given.setup("predict")
    (batch,) = given.predict_dataloader()
    expected, _ = MEL(torch.from_numpy(soundfile.read(tmp_path / "a.wav")[0])[None].float(),
                      torch.tensor([4000]))  # fmt: skip
    torch.testing.assert_close(batch.tokens, expected.expand(4, -1, -1))


def test_without_the_library_it_says_which_extra(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    with pytest.raises(ValueError, match=r"pip install 'lightning-posenc\[speech\]'"):
        data(folder).setup("fit")


def test_a_checkpoint_of_other_features_is_refused(folder: Path) -> None:
    theirs = data(folder).state_dict()
    with pytest.raises(ValueError, match=r"^data.features.n_mels=30, the checkpoint .* 20: "):
        data(folder, features=LogMel(RATE, 30)).adopt(theirs)
