"""How much of the activations does position explain?"""

import math
from typing import Any

import lightning as L

from lightning_posenc.callbacks.by_depth import STREAM, Panel, draw_by_depth
from lightning_posenc.callbacks.history import of_layer
from lightning_posenc.callbacks.probing import Measured, Probing
from lightning_posenc.diagnostics.measures.positional_share import positional_share
from lightning_posenc.diagnostics.observing.observe import observe


class PositionalShare(Probing):
    """Logs the share of the residual stream's variance that the position index explains, and draws
    `figures/positional_share`.

    `pos_share/layer_03` is that after 3 blocks; layer_00 is what enters the first one. Definition:
    `diagnostics/positional_share.py`.
    """

    def measure(self, module: Any, batch: Any, batch_idx: int) -> Measured:
        with observe(module) as seen:
            module.score(batch, batch_idx)
        one = len(batch.tokens) < 2  # sequence, of which no share can be told
        return {
            f"pos_share/{of_layer(layer)}": math.nan if one else positional_share(x, batch.lengths)
            for layer, x in enumerate(seen.hidden)
        }

    def draw(self, trainer: L.Trainer) -> None:
        panel = Panel(
            "pos_share/{}",
            "share of variance explained by position",
            "0: nothing tells where a token is",
            (0, 1),
            depth=STREAM,
        )
        title = "positional share: does the position signal survive with depth?"
        draw_by_depth(trainer, "positional_share", title, [panel], self.history)
