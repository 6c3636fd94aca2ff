"""What a person gives, as a batch: one reader for each kind of input."""

from functools import singledispatch

from lightning_posenc.data import (
    FrameData,
    ImageData,
    SyntheticData,
    TaggingData,
    ToneData,
)
from lightning_posenc.data.text.base import CorpusData
from lightning_posenc.inference.readers.base import InputReader
from lightning_posenc.inference.readers.images import ImageReader
from lightning_posenc.inference.readers.recordings import RecordingReader
from lightning_posenc.inference.readers.texts import TextReader
from lightning_posenc.inference.readers.tokens import TokenReader
from lightning_posenc.inference.readers.words import WordsReader
from lightning_posenc.tasks import Task

__all__ = ["InputReader", "reader_of"]


@singledispatch
def reader_of(data: object) -> InputReader | None:
    """What reads inputs as some data does; None where nothing but a `Batch` can be told it."""
    vocab_size = getattr(data, "vocab_size", None)
    return TokenReader(vocab_size) if isinstance(vocab_size, int) else None


@reader_of.register
def _(data: CorpusData) -> InputReader:
    return TextReader(data.vocabulary, data.train_length)


@reader_of.register
def _(data: TaggingData) -> InputReader:
    return WordsReader(data)


@reader_of.register
def _(data: ImageData) -> InputReader:
    return ImageReader(data)


@reader_of.register(FrameData)
@reader_of.register(ToneData)
def _(data: FrameData | ToneData) -> InputReader:
    return RecordingReader(data.features)


@reader_of.register
def _(data: SyntheticData) -> InputReader | None:
    return None if _places_tokens(data.task) else TokenReader(data.vocab_size, data.task.symbols)


def _places_tokens(task: Task) -> bool:
    """Whether a task says itself where tokens are, as on a grid: ids alone do not tell."""
    from torch import tensor

    from lightning_posenc.tasks import generate

    return generate(task, 0, "test", tensor([0]), task.min_length).positions is not None
