"""What kind of attention does every head pay?"""

from itertools import pairwise
from typing import Any

import lightning as L

from lightning_posenc.callbacks.by_depth import Panel, draw_by_depth, draw_last
from lightning_posenc.callbacks.history import of_layer
from lightning_posenc.callbacks.probing import Measured, Probing
from lightning_posenc.diagnostics.measures.attention_summary import summarise
from lightning_posenc.diagnostics.measures.similarity import layer_similarity
from lightning_posenc.diagnostics.observing.observe import observe


class AttentionStatistics(Probing):
    """Logs what attention does, and draws `figures/attention_statistics` and
    `figures/attention_entropy`.

    By layer and head: `attn/entropy/layer_03/head_1` in nats. By layer, means over heads:
    `attn/normalised_entropy/layer_03` (over that of uniform attention), `attn/distance/…` in
    tokens, `attn/sink/…` (weight on the first token), `attn/offset_share/…` (what the offset alone
    explains), `attn/max_logit/…` (the largest of any head) and `attn/similarity/…` (with the layer
    below). Definitions: `diagnostics/statistics.py`, `diagnostics/similarity.py`.
    """

    def measure(self, module: Any, batch: Any, batch_idx: int) -> Measured:
        with observe(module) as seen:
            module.score(batch, batch_idx)
        measured: dict[str, Any] = {}
        for layer, view in enumerate(seen.attention):
            of = of_layer(layer)
            summary = summarise(view, batch.lengths)
            for head, entropy in enumerate(summary.entropy):
                measured[f"attn/entropy/{of}/head_{head}"] = entropy
            measured[f"attn/max_logit/{of}"] = summary.max_logit.max()
            for name in ("normalised_entropy", "distance", "sink", "offset_share"):
                measured[f"attn/{name}/{of}"] = getattr(summary, name).mean()
        for layer, (below, view) in enumerate(pairwise(seen.attention), start=1):
            measured[f"attn/similarity/{of_layer(layer)}"] = layer_similarity(
                below, view, lengths=batch.lengths
            )
        return measured

    def draw(self, trainer: L.Trainer) -> None:
        panels = (
            Panel(
                "attn/normalised_entropy/{}",
                "entropy of attention over that of uniform attention",
                "1: looks everywhere; 0: at one token",
                (0, 1),
            ),
            Panel("attn/distance/{}", "attended distance, in tokens", "0: looks at itself"),
            Panel("attn/sink/{}", "weight on the first token", "1: looks at nothing else", (0, 1)),
            Panel(
                "attn/offset_share/{}",
                "share of attention explained by the offset alone",
                "1: position decides; 0: content does",
                (0, 1),
            ),
            Panel(
                "attn/similarity/{}", "similarity with the layer below", "1: layers alike", (0, 1)
            ),
            Panel("attn/max_logit/{}", "largest logit of attention"),
        )
        title = "attention, by layer and step (means over heads)"
        draw_by_depth(trainer, "attention_statistics", title, panels, self.history)
        draw_last(
            trainer,
            "attention_entropy",
            f"entropy of attention at step {self.history.last_step}, in nats",
            "attn/entropy/{}/head_*",
            self.history,
        )
