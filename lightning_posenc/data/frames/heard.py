"""Recordings of one split, heard as they are asked for.

Shapes: B recordings, N frames, F bands, U tokens of a transcript.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lightning_posenc.data.batch import Batch
from lightning_posenc.data.fixed import FixedDataset
from lightning_posenc.data.frames.audio import Recording, recording_of
from lightning_posenc.data.frames.features import LogMel
from lightning_posenc.data.meaning import digest
from lightning_posenc.data.text.tokenised import Tokens, rectangle
from lightning_posenc.tasks import IGNORE

if TYPE_CHECKING:
    from datasets import Dataset


class Split(NamedTuple):
    """The recordings of one split.

    Args:
        rows: their table, decoded by nobody yet.
        n_samples: (n,) int64, samples of each.
        transcripts: ids of each.
    """

    rows: "Dataset"
    n_samples: Tensor
    transcripts: Tokens


class Recordings(FixedDataset):
    """Some recordings of a split, heard as they are asked for; a batch is as wide as its longest.

    Args:
        split: what they are of.
        items: (n,) int64, which of its recordings, in the order of this dataset.
        column: which one holds them.
        path: `data.path`, for errors to name.
        root: folder that paths begin at.
        features: what is heard of them.
    """

    def __init__(
        self, split: Split, items: Tensor, column: str, path: str, root: Path, features: LogMel
    ) -> None:
        self.split = split
        self.starts: NDArray[np.int64] = split.transcripts.starts
        self.items = items
        self.column = column
        self.path = path
        self.root = root
        self.features = features

    def __len__(self) -> int:
        return len(self.items)

    def content(self) -> str:
        ids, sizes = self.split.transcripts
        return digest(ids, sizes, self.split.n_samples.numpy(), self.items.numpy())

    def __getitems__(self, indices: list[int]) -> Batch:
        items = self.items[indices]
        heard = recordings(self.split.rows, self.column, items.tolist(), self.path, self.root)
        audio = [each.audio() for each in heard]
        n_samples = torch.tensor([len(each) for each in audio])
        frames, lengths = self.features(pad_sequence(audio, batch_first=True), n_samples)
        n_longest = int(self.split.transcripts.sizes[items.numpy()].max())
        targets, _ = rectangle(
            self.split.transcripts, self.starts, items.numpy(), n_longest, fill=IGNORE
        )
        return Batch(frames, torch.from_numpy(targets), lengths=lengths)


def recordings(
    rows: "Dataset", column: str, numbers: Any, path: str, root: Path
) -> list[Recording]:
    """The recordings in some rows of a table."""
    return [recording_of(rows[int(n)][column], int(n), path, root) for n in numbers]
