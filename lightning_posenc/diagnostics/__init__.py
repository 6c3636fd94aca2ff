"""What do we watch? Pure measurements, defined once."""

from lightning_posenc.diagnostics.attention import captured_attention
from lightning_posenc.diagnostics.entropy import attention_entropy
from lightning_posenc.diagnostics.fused_entropy import entropy_of
from lightning_posenc.diagnostics.gradients import PositionalGradients, positional_gradients
from lightning_posenc.diagnostics.observation import (
    AttentionView,
    Observation,
    observe,
    weights_by_block,
)
from lightning_posenc.diagnostics.order_sensitivity import OrderSensitivity, order_sensitivity
from lightning_posenc.diagnostics.positional_share import positional_share
from lightning_posenc.diagnostics.probe import ProbeResult, probe_positions
from lightning_posenc.diagnostics.rank import effective_rank, residual_ratio, token_cosine
from lightning_posenc.diagnostics.similarity import layer_similarity
from lightning_posenc.diagnostics.statistics import AttentionSummary, summarise
from lightning_posenc.diagnostics.table_probe import order_error, position_error

__all__ = [
    "AttentionSummary",
    "AttentionView",
    "Observation",
    "OrderSensitivity",
    "PositionalGradients",
    "ProbeResult",
    "attention_entropy",
    "captured_attention",
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
