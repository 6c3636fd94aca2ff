"""Do the tokens become alike with depth?"""

from typing import Any

import lightning as L

from lightning_posenc.callbacks.by_depth import STREAM, Panel, draw_by_depth
from lightning_posenc.callbacks.history import of_layer
from lightning_posenc.callbacks.probing import Measured, Probing
from lightning_posenc.diagnostics.measures.rank import effective_rank, residual_ratio, token_cosine
from lightning_posenc.diagnostics.observing.observe import observe


class RankCollapse(Probing):
    """Logs how much of the residual stream is not the same for all tokens, and draws
    `figures/rank_collapse`.

    `rank/residual/layer_03`, `rank/cosine/…` and `rank/effective/…` are those after 3 blocks;
    layer_00 is what enters the first one. Definitions: `diagnostics/rank.py`.
    """

    def measure(self, module: Any, batch: Any, batch_idx: int) -> Measured:
        with observe(module) as seen:
            module.score(batch, batch_idx)
        measured: dict[str, Any] = {}
        for layer, x in enumerate(seen.hidden):
            of = of_layer(layer)
            measured[f"rank/residual/{of}"] = residual_ratio(x, batch.lengths)
            measured[f"rank/cosine/{of}"] = token_cosine(x, batch.lengths)
            measured[f"rank/effective/{of}"] = effective_rank(x, batch.lengths)
        return measured

    def draw(self, trainer: L.Trainer) -> None:
        panels = (
            Panel(
                "rank/residual/{}", "residual ratio", "0: all tokens alike", (0, 1), depth=STREAM
            ),
            Panel(
                "rank/cosine/{}",
                "cosine between tokens",
                "1: all tokens alike",
                (-1, 1),
                depth=STREAM,
            ),
            Panel("rank/effective/{}", "effective rank", "1: tokens on one line", depth=STREAM),
        )
        title = "rank collapse: do tokens become alike with depth?"
        draw_by_depth(trainer, "rank_collapse", title, panels, self.history)
