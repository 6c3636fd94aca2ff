"""Recordings, by file or as samples.

Shapes: S samples.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lightning_posenc.data.batch import Batch
from lightning_posenc.data.frames.audio import LOUDEST, Recording
from lightning_posenc.data.frames.features import LogMel
from lightning_posenc.inference.readers.base import InputReader, unknown_targets


class GivenRecording(Recording):
    """A recording that a person names by its file, and no table does."""

    def wrong(self, what: str) -> ValueError:
        return ValueError(what)


class RecordingReader(InputReader):
    """Hears recordings as a model did in training; they are never cut.

    Args:
        features: What is heard of them, at its rate.
    """

    example = '"speech.wav"'

    def __init__(self, features: LogMel) -> None:
        self.features = features
        self.takes = (  # type: ignore[misc]
            f"the path of a recording of {features.rate} samples a second, or an array of samples"
        )

    def is_one(self, given: Any) -> bool:
        if isinstance(given, np.ndarray | Tensor):
            return given.ndim < 2
        return isinstance(given, str | Path)

    def batch(self, inputs: Sequence[Any], length: int | None) -> Batch:
        audio = [self._samples(each) for each in inputs]
        n_samples = torch.tensor([len(each) for each in audio])
        frames, lengths = self.features(pad_sequence(audio, batch_first=True), n_samples)
        return Batch(frames, unknown_targets(len(audio)), lengths=lengths)

    def of_file(self, path: Path) -> list[Any]:
        return [path]

    def shown(self, given: Any) -> str:
        return str(given) if isinstance(given, str | Path) else f"{len(given)} samples"

    def _samples(self, given: Any) -> Tensor:
        """(S,) float32."""
        if isinstance(given, str | Path):
            return self._of_file(Path(given))
        if not isinstance(given, np.ndarray | Tensor):
            raise ValueError(f"{type(given).__name__} is no recording: give {self.takes}")
        samples = torch.as_tensor(given).detach().cpu().float()
        if samples.dim() != 1 or not len(samples):
            raise ValueError(
                f"an array {tuple(samples.shape)} is no recording: give (S,) samples of one channel"
            )
        if not bool((samples.abs() <= LOUDEST).all()):  # NaN is not either
            raise ValueError("a recording holds samples that are NaN, or far beyond 1")
        return samples

    def _of_file(self, path: Path) -> Tensor:
        recording = GivenRecording(0, str(path), path.expanduser(), "")
        n_samples, rate = recording.header()
        if rate != self.features.rate:
            raise ValueError(
                f"{path} has {rate} samples a second, and the model heard {self.features.rate}: "
                "resample it"
            )
        if not n_samples:
            raise ValueError(f"{path} has no samples")
        return recording.audio()
