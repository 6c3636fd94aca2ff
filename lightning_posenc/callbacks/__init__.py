"""Thin adapters that watch a run."""

from importlib import import_module
from typing import Any

from lightning_posenc.callbacks.attention_statistics import AttentionStatistics
from lightning_posenc.callbacks.cross_attention import CrossAttention
from lightning_posenc.callbacks.drop_positions import DropPositions
from lightning_posenc.callbacks.expert_load import ExpertLoad
from lightning_posenc.callbacks.gradual_unfreezing import GradualUnfreezing
from lightning_posenc.callbacks.logit_growth import LogitGrowth
from lightning_posenc.callbacks.order_sensitivity import OrderSensitivity
from lightning_posenc.callbacks.position_probe import PositionProbe
from lightning_posenc.callbacks.positional_gradients import PositionalGradients
from lightning_posenc.callbacks.positional_share import PositionalShare
from lightning_posenc.callbacks.qk_clip import QKClip
from lightning_posenc.callbacks.rank_collapse import RankCollapse
from lightning_posenc.callbacks.redraw_features import RedrawFeatures
from lightning_posenc.callbacks.results.accuracy_by_position import AccuracyByPosition
from lightning_posenc.callbacks.results.attention_maps import AttentionMaps
from lightning_posenc.callbacks.results.class_table import ClassTable
from lightning_posenc.callbacks.results.length_generalization import LengthGeneralization
from lightning_posenc.callbacks.results.occlusion_map import OcclusionMap
from lightning_posenc.callbacks.results.predictions import Predictions
from lightning_posenc.callbacks.results.results_table import ResultsTable
from lightning_posenc.callbacks.watch import Watch
from lightning_posenc.runs.figures import log_figure
from lightning_posenc.runs.tables import log_table

__all__ = [
    "AccuracyByPosition",
    "AttentionMaps",
    "AttentionStatistics",
    "ClassTable",
    "CrossAttention",
    "DropPositions",
    "ExpertLoad",
    "GradualUnfreezing",
    "LengthGeneralization",
    "LogitGrowth",
    "OcclusionMap",
    "OrderSensitivity",
    "PositionProbe",
    "PositionalGradients",
    "PositionalShare",
    "Predictions",
    "QKClip",
    "RankCollapse",
    "RedrawFeatures",
    "ResultsTable",
    "Watch",
    "log_figure",
    "log_table",
]

# What a run does for itself lies above this package now; programs of release 0.1 find it here.
_MOVED = {
    "BestScore": "lightning_posenc.training.best_score",
    "Diverged": "lightning_posenc.training.divergence",
    "Divergence": "lightning_posenc.training.divergence",
    "RandomState": "lightning_posenc.training.resuming.random_state",
    "RunSummary": "lightning_posenc.training.summary",
}


def __getattr__(name: str) -> Any:
    if name not in _MOVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MOVED[name]), name)
