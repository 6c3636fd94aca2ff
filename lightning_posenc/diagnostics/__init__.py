"""What do we watch? Pure measurements, defined once.

The names below are imported on first use: `quantities` and `effective_length`, which reports read,
need no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_posenc.diagnostics.measures.attention_summary import AttentionSummary, summarise
    from lightning_posenc.diagnostics.measures.dilution import Spread, dilution, spread
    from lightning_posenc.diagnostics.measures.entropy import attention_entropy
    from lightning_posenc.diagnostics.measures.fused_entropy import entropy_of
    from lightning_posenc.diagnostics.measures.gradients import (
        ChannelGradients,
        positional_gradients,
    )
    from lightning_posenc.diagnostics.measures.head_types import HeadScores, head_scores
    from lightning_posenc.diagnostics.measures.order_sensitivity import (
        OrderChanges,
        order_sensitivity,
        shuffle_change,
    )
    from lightning_posenc.diagnostics.measures.positional_share import positional_share
    from lightning_posenc.diagnostics.measures.probe import ProbeResult, probe_positions
    from lightning_posenc.diagnostics.measures.rank import (
        effective_rank,
        residual_ratio,
        token_cosine,
    )
    from lightning_posenc.diagnostics.measures.routing import (
        expert_counts,
        explained_by_position,
    )
    from lightning_posenc.diagnostics.measures.similarity import layer_similarity
    from lightning_posenc.diagnostics.measures.table_probe import order_error, position_error
    from lightning_posenc.diagnostics.observing.observe import Observation, observe
    from lightning_posenc.diagnostics.observing.row_blocks import weights_by_block

_MEASURES, _OBSERVING = (f"{__name__}.{package}" for package in ("measures", "observing"))
_HOMES = {
    "AttentionSummary": f"{_MEASURES}.attention_summary",
    "ChannelGradients": f"{_MEASURES}.gradients",
    "HeadScores": f"{_MEASURES}.head_types",
    "Observation": f"{_OBSERVING}.observe",
    "OrderChanges": f"{_MEASURES}.order_sensitivity",
    "ProbeResult": f"{_MEASURES}.probe",
    "Spread": f"{_MEASURES}.dilution",
    "attention_entropy": f"{_MEASURES}.entropy",
    "dilution": f"{_MEASURES}.dilution",
    "effective_rank": f"{_MEASURES}.rank",
    "entropy_of": f"{_MEASURES}.fused_entropy",
    "expert_counts": f"{_MEASURES}.routing",
    "explained_by_position": f"{_MEASURES}.routing",
    "head_scores": f"{_MEASURES}.head_types",
    "layer_similarity": f"{_MEASURES}.similarity",
    "observe": f"{_OBSERVING}.observe",
    "order_error": f"{_MEASURES}.table_probe",
    "order_sensitivity": f"{_MEASURES}.order_sensitivity",
    "position_error": f"{_MEASURES}.table_probe",
    "positional_gradients": f"{_MEASURES}.gradients",
    "positional_share": f"{_MEASURES}.positional_share",
    "probe_positions": f"{_MEASURES}.probe",
    "residual_ratio": f"{_MEASURES}.rank",
    "shuffle_change": f"{_MEASURES}.order_sensitivity",
    "spread": f"{_MEASURES}.dilution",
    "summarise": f"{_MEASURES}.attention_summary",
    "token_cosine": f"{_MEASURES}.rank",
    "weights_by_block": f"{_OBSERVING}.row_blocks",
}

__all__ = [
    "AttentionSummary",
    "ChannelGradients",
    "HeadScores",
    "Observation",
    "OrderChanges",
    "ProbeResult",
    "Spread",
    "attention_entropy",
    "dilution",
    "effective_rank",
    "entropy_of",
    "expert_counts",
    "explained_by_position",
    "head_scores",
    "layer_similarity",
    "observe",
    "order_error",
    "order_sensitivity",
    "position_error",
    "positional_gradients",
    "positional_share",
    "probe_positions",
    "residual_ratio",
    "shuffle_change",
    "spread",
    "summarise",
    "token_cosine",
    "weights_by_block",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
