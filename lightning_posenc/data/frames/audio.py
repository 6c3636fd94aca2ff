"""Recordings in files, as libsndfile reads them: WAV, FLAC, Ogg, MP3.

Shapes: S samples.
"""

from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

LOUDEST = 1e6  # a sample, in absolute value: an energy of more is not finite


class Header(NamedTuple):
    """What the head of a file says.

    Args:
        n_samples: of each channel.
        rate: samples a second.
    """

    n_samples: int
    rate: int


class Recording(NamedTuple):
    """A recording, and where it was named.

    Args:
        row: of its source, counted from 0.
        name: of the file.
        file: path of the file, or what it holds.
        path: `data.path`, for errors to name.
    """

    row: int
    name: str
    file: Path | bytes
    path: str

    def header(self) -> Header:
        """Read the head of the file.

        Raises:
            ValueError: If there is no such file, or none that is audio.
        """
        found = self._read("info")
        return Header(found.frames, found.samplerate)

    def audio(self) -> Tensor:
        """(S,) float32 samples, the mean of all channels, as a rule in [-1, 1].

        Raises:
            ValueError: If they cannot be read, or are no sound: NaN, or beyond 10^6.
        """
        samples, _ = self._read("read", dtype="float32", always_2d=True)
        audio = torch.from_numpy(samples).mean(dim=1)
        if not bool((audio.abs() <= LOUDEST).all()):  # NaN is not either
            raise self.wrong(
                f"{self.name} holds samples that are NaN or beyond {LOUDEST:g}: convert it anew, "
                "to samples from -1 to 1, or leave it out"
            )
        return audio

    def wrong(self, what: str) -> ValueError:
        """Make what is to be raised: which recording of which source, and what is wrong with it."""
        return ValueError(f"data.path={self.path}: row {self.row} (counted from 0): {what}")

    def _read(self, function: str, **options: Any) -> Any:
        library = decoder()
        file = BytesIO(self.file) if isinstance(self.file, bytes) else self.file
        if isinstance(file, Path) and not file.is_file():
            raise self.wrong(f"there is no file {file}: paths begin at the table's folder")
        try:
            return getattr(library, function)(file, **options)
        except (library.SoundFileError, OSError, ValueError, TypeError) as error:
            reason = str(error).strip().splitlines()[0].rpartition(": ")[2]
            raise self.wrong(
                f"{self.name} cannot be read as audio ({reason}): convert it to WAV or FLAC, or "
                "leave it out"
            ) from error


def recording_of(value: Any, row: int, path: str, root: Path) -> Recording:
    """The recording in a cell of a table: a path, or what Hugging Face's `Audio` holds undecoded.

    Args:
        value: of the cell.
        row: its row.
        path: `data.path`.
        root: folder that paths begin at.

    Raises:
        ValueError: If it is neither.
    """
    if isinstance(value, dict):
        name = value.get("path") or "its audio"
        if isinstance(content := value.get("bytes"), bytes):
            return Recording(row, name, content, path)
        value = value.get("path")
    if not isinstance(value, str) or not value.strip():
        raise Recording(row, "", b"", path).wrong(
            "it names no file: fill in data.audio_column, or leave the row out"
        )
    return Recording(row, value, root / Path(value).expanduser(), path)


def decoder() -> Any:
    """The library that reads audio.

    Raises:
        ValueError: If it is not installed.
    """
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: without the C library
        raise ValueError(
            "recordings are read by soundfile: pip install 'lightning-posenc[speech]'"
        ) from error
    return soundfile
