"""Thin adapters that watch a run."""

from lightning_posenc.callbacks.accuracy_by_position import AccuracyByPosition
from lightning_posenc.callbacks.attention_maps import AttentionMaps
from lightning_posenc.callbacks.attention_statistics import AttentionStatistics
from lightning_posenc.callbacks.best_score import BestScore
from lightning_posenc.callbacks.divergence import Diverged, Divergence
from lightning_posenc.callbacks.drop_positions import DropPositions
from lightning_posenc.callbacks.figures import log_figure
from lightning_posenc.callbacks.length_generalization import LengthGeneralization
from lightning_posenc.callbacks.order_sensitivity import OrderSensitivity
from lightning_posenc.callbacks.position_probe import PositionProbe
from lightning_posenc.callbacks.positional_gradients import PositionalGradients
from lightning_posenc.callbacks.positional_share import PositionalShare
from lightning_posenc.callbacks.predictions import Predictions
from lightning_posenc.callbacks.random_state import RandomState
from lightning_posenc.callbacks.rank_collapse import RankCollapse
from lightning_posenc.callbacks.results_table import ResultsTable
from lightning_posenc.callbacks.run_summary import RunSummary
from lightning_posenc.callbacks.tables import log_table

__all__ = [
    "AccuracyByPosition",
    "AttentionMaps",
    "AttentionStatistics",
    "BestScore",
    "Diverged",
    "Divergence",
    "DropPositions",
    "LengthGeneralization",
    "OrderSensitivity",
    "PositionProbe",
    "PositionalGradients",
    "PositionalShare",
    "Predictions",
    "RandomState",
    "RankCollapse",
    "ResultsTable",
    "RunSummary",
    "log_figure",
    "log_table",
]
