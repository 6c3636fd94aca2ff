"""What kind of attention does every head pay?"""

import lightning as L

from lightning_posenc.callbacks.by_depth import draw_by_depth, draw_last
from lightning_posenc.callbacks.probing import Observing
from lightning_posenc.diagnostics.measures.measure import measurement
from lightning_posenc.diagnostics.quantities import QUANTITIES

ENTROPY = QUANTITIES["attn/entropy"]


class AttentionStatistics(Observing):
    """Logs what attention does, and draws `figures/attention_statistics` and
    `figures/attention_entropy`.

    By layer and head: `attn/entropy/layer_03/head_1` in nats. By layer, means over heads:
    `attn/normalised_entropy/layer_03` (over that of uniform attention), `attn/distance/…` in
    tokens, `attn/sink/…` (weight on the first token), `attn/offset_share/…` (what the offset alone
    explains), `attn/max_logit/…` (the largest of any head) and `attn/similarity/…` (with the layer
    below). Definitions: `diagnostics/measures/attention_summary.py` and `similarity.py`.
    """

    measurements = (measurement("attention_statistics"),)

    def draw(self, trainer: L.Trainer) -> None:
        (of,) = self.measurements
        by_depth = [quantity for quantity in of.quantities if quantity != ENTROPY]
        draw_by_depth(trainer, of.name, of.title, by_depth, self.history)
        title = f"{ENTROPY.title} at step {self.history.last_step}, in {ENTROPY.unit}"
        draw_last(trainer, "attention_entropy", title, ENTROPY, "head", self.history)
