"""Data modules: synthetic tasks and text, in batches that ranks and restarts do not change."""

from lightning_posenc.data.batch import Batch
from lightning_posenc.data.stream import EvalBatches, GlobalBatches, ShuffledPasses
from lightning_posenc.data.synthetic import SyntheticData
from lightning_posenc.data.text import TextData

__all__ = ["Batch", "EvalBatches", "GlobalBatches", "ShuffledPasses", "SyntheticData", "TextData"]
