"""What do we watch? Pure measurements, defined once."""

from lightning_posenc.diagnostics.measures.attention_summary import AttentionSummary, summarise
from lightning_posenc.diagnostics.measures.entropy import attention_entropy
from lightning_posenc.diagnostics.measures.fused_entropy import entropy_of
from lightning_posenc.diagnostics.measures.gradients import (
    PositionalGradients,
    positional_gradients,
)
from lightning_posenc.diagnostics.measures.order_sensitivity import (
    OrderSensitivity,
    order_sensitivity,
)
from lightning_posenc.diagnostics.measures.positional_share import positional_share
from lightning_posenc.diagnostics.measures.probe import ProbeResult, probe_positions
from lightning_posenc.diagnostics.measures.rank import effective_rank, residual_ratio, token_cosine
from lightning_posenc.diagnostics.measures.similarity import layer_similarity
from lightning_posenc.diagnostics.measures.table_probe import order_error, position_error
from lightning_posenc.diagnostics.observing.observe import Observation, observe
from lightning_posenc.diagnostics.observing.row_blocks import weights_by_block

__all__ = [
    "AttentionSummary",
    "Observation",
    "OrderSensitivity",
    "PositionalGradients",
    "ProbeResult",
    "attention_entropy",
    "effective_rank",
    "entropy_of",
    "layer_similarity",
    "observe",
    "order_error",
    "order_sensitivity",
    "position_error",
    "positional_gradients",
    "positional_share",
    "probe_positions",
    "residual_ratio",
    "summarise",
    "token_cosine",
    "weights_by_block",
]
