"""What the first token is to attention beyond the weight on it: its value, its logit.

A sink is a token that heads attend to in order to take nothing: its value is small, its logit high
whatever the query (Xiao et al. 2023, arXiv:2309.17453; Gu et al. 2024, "When Attention Sink Emerges
in Language Models", arXiv:2410.10781). A first token that is read has a value as large
as others.

Shapes: B sequences, H heads, T queries, t of them, S keys, V channels of a value.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.checks import kinds_checked
from lightning_posenc.diagnostics.observing.observe import Observation
from lightning_posenc.diagnostics.observing.some_queries import MOST, some_queries
from lightning_posenc.model.kernels import Operands, logits


class FirstKey(NamedTuple):
    """Numbers of each head, (H,), float32: means over sequences.

    Args:
        value: ‖v_0‖ over the median ‖v_j‖ of the sequence.
        logit: The first key's logit above the mean of the logits that a query sees, mean over
            queries that see it and others.
    """

    value: Tensor
    logit: Tensor


@kinds_checked
@torch.no_grad()
def first_key(operands: Operands, lengths: Tensor | None = None, most: int = MOST) -> FirstKey:
    """Measure one layer, in O(t · S) memory unless it rescores its logits.

    Args:
        operands: One layer's attention.
        lengths: (B,) tokens of each sequence; queries and keys beyond are left out. None if all are
            full.
        most: Queries that are looked at, evenly spaced.
    """
    n_sequences, n_heads, n_queries, n_keys = operands.shape
    index, some = some_queries(operands, most)
    places = torch.arange(n_keys, device=operands.q.device)
    full = places.new_full((n_sequences,), n_keys)
    real = places < (full if lengths is None else lengths.to(places.device))[:, None]  # (B, S)

    sizes = operands.v.float().norm(dim=-1)
    median = sizes.masked_fill(~real[:, None], torch.nan).nanmedian(dim=-1).values
    value = sizes[..., 0] / median.clamp(min=torch.finfo(sizes.dtype).tiny)  # (B, G)
    value = value.repeat_interleave(n_heads // value.shape[1], dim=1).mean(dim=0)

    with torch.autocast(operands.q.device.type, enabled=False):
        rescored = operands.rescore is not None
        found = logits(operands)[:, :, index] if rescored else logits(some)
    visible = found > -torch.inf
    counts = visible.sum(dim=-1)
    mean = found.masked_fill(~visible, 0).sum(dim=-1) / counts.clamp(min=1)
    asked = real[:, n_keys - n_queries :][:, index]  # (B, t)
    counted = asked[:, None] & visible[..., 0] & (counts > 1)
    above = torch.where(counted, found[..., 0] - mean, 0.0)
    return FirstKey(value, above.sum(dim=(0, 2)) / counted.sum(dim=(0, 2)).clamp(min=1))


class RunningFirstKey:
    """The same of one layer after the other.

    Args:
        lengths: (B,) tokens of each sequence; None if all are full.

    Attributes:
        found: By quantity and layer.
    """

    def __init__(self, lengths: Tensor | None = None) -> None:
        self._lengths = lengths
        self.found: dict[str, dict[int, Tensor]] = {"attn/sink_value": {}, "attn/sink_logit": {}}

    def add(self, layer: int, operands: Operands) -> None:
        """Take the next layer."""
        of = first_key(operands, self._lengths)
        self.found["attn/sink_value"][layer] = of.value
        self.found["attn/sink_logit"][layer] = of.logit


def first_key_by_layer(seen: Observation, lengths: Tensor | None) -> dict[str, dict[int, Tensor]]:
    """Of a pass whose layers were kept."""
    running = RunningFirstKey(lengths)
    for layer, operands in zip(seen.layers, seen.attention, strict=True):
        running.add(layer, operands)
    return running.found
