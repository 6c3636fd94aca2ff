"""Picture: who attends to whom, in every layer and head."""

from typing import Any

import lightning as L
import torch
from torch import Tensor

from lightning_posenc.callbacks.figures import log_figure, new_figure
from lightning_posenc.callbacks.probing import first
from lightning_posenc.diagnostics.attention import captured_attention

MAX_TOKENS = 64  # a longer map is neither readable nor worth its memory


class AttentionMaps(L.Callback):
    """Draws `figures/attention`: the attention of one test sequence, layers by heads.

    Args:
        n_heads: At most so many heads are drawn, the first ones.
    """

    def __init__(self, n_heads: int = 8) -> None:
        self.n_heads = n_heads
        self._batch: Any = None

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if dataloader_idx == 0 and batch_idx == 0 and batch.tokens.shape[1] <= MAX_TOKENS:
            self._batch = first(batch, 1)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        one, self._batch = self._batch, None
        if trainer.world_size > 1:
            # The first rank's, on every rank: they run a sharded model together, or hang.
            one = trainer.strategy.broadcast(None if one is None else one.to(torch.device("cpu")))
        if one is None:
            return
        one = one.to(pl_module.device)
        with torch.no_grad(), captured_attention(pl_module) as layers:
            pl_module.predict_step(one, 0)
        if not trainer.is_global_zero:
            return
        length = one.tokens.shape[1] if one.lengths is None else int(one.lengths[0])
        _draw(trainer, [layer[0, : self.n_heads, :length, :length].cpu() for layer in layers])


def _draw(trainer: L.Trainer, layers: list[Tensor]) -> None:
    n_layers, n_heads = len(layers), len(layers[0])
    figure = new_figure(figsize=(1.7 * n_heads + 1.4, 1.7 * n_layers + 0.7))
    axes = figure.subplots(n_layers, n_heads, squeeze=False, sharex=True, sharey=True)
    top = max(float(layer.max()) for layer in layers)
    for row, layer in enumerate(layers):
        for column, weights in enumerate(layer):
            ax = axes[row, column]
            image = ax.imshow(weights.float().numpy(), cmap="magma", vmin=0, vmax=top)
            if row == 0:
                ax.set_title(f"head {column}", fontsize=9)
        axes[row, 0].set_ylabel(f"layer {row}\nquery", fontsize=9)
    for ax in axes[-1]:
        ax.set_xlabel("key", fontsize=9)
    figure.colorbar(image, ax=axes, label="attention weight", shrink=0.7)
    figure.suptitle("attention of one test sequence", fontsize=10)
    numbers = {
        f"layer_{row:02d}": [
            [[round(w, 5) for w in query] for query in head] for head in layer.tolist()
        ]
        for row, layer in enumerate(layers)
    }
    log_figure(trainer, "attention", figure, numbers)
