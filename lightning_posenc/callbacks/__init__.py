"""Thin adapters that watch a run."""

from lightning_posenc.callbacks.accuracy_by_position import AccuracyByPosition
from lightning_posenc.callbacks.attention_maps import AttentionMaps
from lightning_posenc.callbacks.drop_positions import DropPositions
from lightning_posenc.callbacks.figures import log_figure
from lightning_posenc.callbacks.predictions import Predictions
from lightning_posenc.callbacks.random_state import RandomState
from lightning_posenc.callbacks.results_table import ResultsTable
from lightning_posenc.callbacks.run_summary import RunSummary

__all__ = [
    "AccuracyByPosition",
    "AttentionMaps",
    "DropPositions",
    "Predictions",
    "RandomState",
    "ResultsTable",
    "RunSummary",
    "log_figure",
]
