"""Recordings and what is said in them, for a model that writes it down.

Shapes: B recordings, N frames, F bands, U tokens of a transcript.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lightning_posenc.checks import is_a
from lightning_posenc.data.frames.audio import Recording
from lightning_posenc.data.frames.features import LogMel
from lightning_posenc.data.frames.heard import Recordings, Split, recordings
from lightning_posenc.data.meaning import described, differences
from lightning_posenc.data.saying import percent, say
from lightning_posenc.data.text.base import CorpusData
from lightning_posenc.data.text.sources import load_rows
from lightning_posenc.data.text.tokenised import Tokens, laid_out, nothing

if TYPE_CHECKING:
    from datasets import Dataset

TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


class FrameData(CorpusData):
    """Log-mel frames of recordings, and the tokens of their transcripts, for a `CTCModel`.

    Recordings are read when they are needed, by soundfile (extra `speech`), and never resampled or
    cut. Training and validation leave out those of more than `train_length` frames. The test of a
    length has those of at most so many frames, and of more than the next shorter one of
    `eval_lengths`: it tells what a model does of a duration that it was not trained on. All
    recordings are predicted, and need no transcripts. Splits are those of `TextPairData`.

    Args:
        path: a table with a column of files, whose paths begin at its folder; a folder with one
            called metadata.csv, .jsonl or .parquet; or a dataset on the Hub with an audio column.
        audio_column: which column holds the recordings.
        text_column: which column holds the transcripts.
        features: what is heard of a recording, at the rate that all must have; None for `LogMel()`.
        vocabulary: what tokens are: `chars`, or as in `CorpusData`.
        train_length: N, frames (of 10 ms, unless the features say otherwise) of the longest
            recording that is trained on.
        options: the others of `CorpusData`; `eval_lengths` are frames, too.

    Raises:
        ValueError: if a number is out of range; of a recording, naming its row, if it cannot be
            read, has another rate or no transcript.
        FileNotFoundError: if the table does not exist.
    """

    length_axis = "length in frames"

    def __init__(
        self,
        path: str | None = None,
        *,
        audio_column: str = "audio",
        text_column: str = "text",
        features: LogMel | None = None,
        vocabulary: str = "chars",
        train_length: int = 2000,
        **options: Any,
    ) -> None:
        super().__init__(
            path,
            text_column=text_column,
            vocabulary=vocabulary,
            train_length=train_length,
            **options,
        )
        self.audio_column = is_a(self, "audio_column", audio_column, str)
        self.features = LogMel() if features is None else is_a(self, "features", features, LogMel)
        self._found: dict[bool, dict[str, Split]] = {}  # with or without what is to be predicted

    @property
    def n_classes(self) -> int:
        """Number of different tokens of transcripts."""
        return self.vocab_size

    def options(self) -> dict[str, Any]:
        return {
            "audio_column": self.audio_column,
            "features": self.features,
            **super().options(),
        }

    def meaning(self) -> dict[str, Any]:
        return {"features": described(self.features), **super().meaning()}

    def take_over(self, meaning: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        before = self._vocabulary
        super().take_over(meaning, options)
        own = {"features": described(self.features)}
        if told := list(differences(own, {"features": meaning["features"]})):
            raise ValueError(f"{'; '.join(told)}: the weights hear that alone: give it")
        if self._vocabulary != before:
            self._found = {}

    def rows(self) -> "dict[str, Dataset]":
        """The rows of each split, their audio undecoded."""
        from datasets import Audio

        columns = {"text_column": self.text_column, "audio_column": self.audio_column}
        optional = ("text_column",) if self._predicts else ()
        trains = not self._evaluates_other
        found = load_rows(str(self._table), self.subset, columns, optional, trains)
        return {
            name: rows.cast_column(self.audio_column, Audio(decode=False))
            if isinstance(rows.features[self.audio_column], Audio)
            else rows
            for name, rows in found.items()
        }

    @property
    def _table(self) -> Path | str:
        """The file that names the recordings; of a dataset on the Hub, its name."""
        root = Path(self.path).expanduser()
        if not root.is_dir():
            return self.path
        found = next((root / name for name in TABLES if (root / name).is_file()), None)
        if found is None:
            raise ValueError(
                f"data.path={self.path} has no {', '.join(TABLES)}: name each recording and its "
                "transcript in one of them"
            )
        return found

    def prepare_data(self) -> None:
        """Tokenise once a machine; the `datasets` library caches the result."""
        self._all()

    def setup(self, stage: str | None = None) -> None:
        """Read the heads of all files.

        Raises:
            ValueError: if one cannot be heard, or there are too few.
        """
        found = self._all()
        if not self._evaluates_other and "val" not in found and len(found["train"].n_samples) < 2:
            raise ValueError(f"data.path={self.path} has one recording: give at least 2")
        self._say_what_is_read(stage)

    def printed_answer(self, ids: list[int]) -> str:
        """The text of a transcript."""
        return self.decode(ids)

    def predicted(self, row: int, classes: Any, probabilities: Any) -> dict[str, Any]:
        rows = self._found_in(self._items("predict")[0]).rows
        value = rows[row][self.audio_column]
        file = value.get("path") if isinstance(value, dict) else value
        named = {"file": file} if file else {}
        return {**named, "prediction": self.printed_answer(classes)}

    def _all(self) -> dict[str, Split]:
        """Each split, read once; no transcripts where they are predicted."""
        found = self._found.setdefault(self._predicts, {})
        if not found:
            splits = self.rows()
            transcripts = self._transcripts(splits)
            for name, rows in splits.items():
                found[name] = Split(rows, self._n_samples(rows), transcripts[name])
        return found

    def _transcripts(self, splits: "dict[str, Dataset]") -> dict[str, Tokens]:
        if self._predicts:
            return {name: nothing(len(rows)) for name, rows in splits.items()}
        for name, rows in splits.items():
            self._check_transcripts(name, rows)
        return {name: laid_out(ids) for name, ids in self._encoded(splits).items()}

    def _check_transcripts(self, name: str, rows: "Dataset") -> None:
        texts = rows[self.text_column]
        if empty := [n for n, text in enumerate(texts) if not (text or "").strip()]:
            raise ValueError(
                f"data.path={self.path}: {len(empty)} of {len(texts)} {name} recordings have no "
                f"transcript in column {self.text_column!r}, the first of them row {empty[0]} "
                "(counted from 0): fill them in or take them out"
            )

    def _n_samples(self, rows: "Dataset") -> Tensor:
        """(n,) samples of each recording, all of which have the rate of the features."""
        found = []
        for recording in self._recordings(rows, range(len(rows))):
            n_samples, rate = recording.header()
            if rate != self.features.rate:
                raise recording.wrong(
                    f"{recording.name} has {rate} samples a second, and data.features.rate="
                    f"{self.features.rate}: resample it, or give the rate that all have"
                )
            if not n_samples:
                raise recording.wrong(f"{recording.name} has no samples: leave it out")
            found.append(n_samples)
        return torch.tensor(found, dtype=torch.int64)

    def _recordings(self, rows: "Dataset", numbers: Any) -> list[Recording]:
        return recordings(rows, self.audio_column, numbers, self.path, self._root)

    @property
    def _root(self) -> Path:
        return Path(self._table).expanduser().parent

    def _dataset(self, split: str, length: int) -> "Recordings":
        name, items = self._items(split)
        heard = self.audio_column, self.path, self._root, self.features
        if split == "predict":
            return Recordings(self._found_in(name), items, *heard)
        shorter = [n for n in self.eval_lengths if n < length] if split == "test" else []
        of_split = self._found_in(name)
        n_frames = self.features.n_frames(of_split.n_samples[items])
        fits = (n_frames <= length) & (n_frames > max(shorter, default=0))
        if not fits.any():
            raise ValueError(
                f"data.path={self.path}: none of {len(items)} {split} recordings has more than "
                f"{max(shorter, default=0)} and at most {length} frames: they have "
                f"{int(n_frames.min())} to {int(n_frames.max())}"
            )
        return Recordings(of_split, items[fits], *heard)

    def _found_in(self, name: str) -> Split:
        return self._all()[name]

    def _items(self, split: str) -> tuple[str, Tensor]:
        found = self._all()
        return self._rows_of(split, {name: len(s.n_samples) for name, s in found.items()})

    def _extent(self, split: str) -> str:
        name, items = self._items(split)
        n = f"{len(items):,} recordings of {self.path}"
        held_out = name == "train" and split != "predict" and not self._evaluates_other
        return f"the {n} that training left out" if held_out else f"all {n}"

    def _say_what_is_read(self, stage: str | None) -> None:
        super()._say_what_is_read(stage)
        if str(getattr(stage, "value", stage)) == "fit":
            n, n_read = len(self._items("train")[1]), len(self._dataset("train", self.train_length))
            if n_read < n:
                say(
                    f"fit: {percent(n - n_read, n)} of the recordings have more than "
                    f"data.train_length={self.train_length} frames and are left out"
                )
