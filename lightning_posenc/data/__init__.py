"""Data modules: synthetic tasks and text, in batches that ranks and restarts do not change."""

from lightning_posenc.data.batch import Batch
from lightning_posenc.data.lengths import GrowingLengths, Lengths, UniformLengths, WeightedLengths
from lightning_posenc.data.order import EvalBatches, GlobalBatches, ShuffledPasses
from lightning_posenc.data.synthetic import SyntheticData
from lightning_posenc.data.text.classification import TextClassificationData
from lightning_posenc.data.text.language import TextData
from lightning_posenc.data.text.tagging import TaggingData

__all__ = [
    "Batch",
    "EvalBatches",
    "GlobalBatches",
    "GrowingLengths",
    "Lengths",
    "ShuffledPasses",
    "SyntheticData",
    "TaggingData",
    "TextClassificationData",
    "TextData",
    "UniformLengths",
    "WeightedLengths",
]
