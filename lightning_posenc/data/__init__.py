"""Data modules: synthetic tasks and text, in batches that ranks and restarts do not change."""

from lightning_posenc.data.batch import Batch
from lightning_posenc.data.frames.features import LogMel
from lightning_posenc.data.frames.recordings import FrameData
from lightning_posenc.data.frames.tones import ToneData
from lightning_posenc.data.images.augment import RandomShift
from lightning_posenc.data.images.data import ImageData
from lightning_posenc.data.lengths import (
    GrowingLengths,
    Lengths,
    StagedLengths,
    UniformLengths,
    WeightedLengths,
)
from lightning_posenc.data.order import EvalBatches, GlobalBatches, ShuffledPasses
from lightning_posenc.data.pairs.tasks import PairData
from lightning_posenc.data.pairs.texts import TextPairData
from lightning_posenc.data.synthetic import SyntheticData
from lightning_posenc.data.text.classification import TextClassificationData
from lightning_posenc.data.text.language import TextData
from lightning_posenc.data.text.tagging import TaggingData

__all__ = [
    "Batch",
    "EvalBatches",
    "FrameData",
    "GlobalBatches",
    "GrowingLengths",
    "ImageData",
    "Lengths",
    "LogMel",
    "PairData",
    "RandomShift",
    "ShuffledPasses",
    "StagedLengths",
    "SyntheticData",
    "TaggingData",
    "TextClassificationData",
    "TextData",
    "TextPairData",
    "ToneData",
    "UniformLengths",
    "WeightedLengths",
]
