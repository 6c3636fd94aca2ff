"""Picture: who attends to whom, in chosen layers and heads."""

from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor

from lightning_posenc.callbacks.module_fits import fits, observed, token_lengths
from lightning_posenc.callbacks.probing import isolated
from lightning_posenc.checks import MOST, several, whole
from lightning_posenc.data.batch import are_ids
from lightning_posenc.diagnostics.metric_keys import word_of
from lightning_posenc.diagnostics.observing.observe import observe
from lightning_posenc.model.kernels import Kernels, TellsWeights, attention_weights
from lightning_posenc.runs.figures import log_figure, new_figure

MAX_TOKENS = 64  # a longer map is neither readable nor worth its memory


class AttentionMaps(L.Callback):
    """Draws `figures/attention`: the attention of one test sequence, layers by heads.

    Args:
        n_heads: At most so many heads are drawn, the first ones, at least 1.
        n_layers: At most so many layers are drawn, from the first to the last at equal distances,
            at least 1.
        layers: The layers to draw instead, from 0 among those with attention weights; negative
            ones count from the last.
        heads: The heads to draw instead, likewise.

    Raises:
        ValueError: If a number is out of range, or a model has no such layer or head.
    """

    def __init__(
        self,
        n_heads: int = 8,
        n_layers: int = 8,
        layers: list[int] | None = None,
        heads: list[int] | None = None,
    ) -> None:
        for name, chosen in (("layers", layers), ("heads", heads)):
            for each in () if chosen is None else several(self, name, chosen):
                whole(self, name, each, -MOST, MOST)
        self.n_heads = whole(self, "n_heads", n_heads)
        self.n_layers = whole(self, "n_layers", n_layers)
        self.layers = layers
        self.heads = heads
        self._batch: Any = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._layers(_count_layers(observed(pl_module)))
        dims = getattr(getattr(pl_module, "encoder", None), "dims", None)
        if dims is not None:
            self._heads(dims.n_heads)

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if dataloader_idx or batch_idx or not fits(self, pl_module, batch, "encoder"):
            return
        # Of patches and frames nobody knows yet how many tokens they make.
        if not are_ids(batch.tokens) or batch.tokens.shape[1] <= MAX_TOKENS:
            self._batch = batch.first(1)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        one, self._batch = self._batch, None
        if trainer.world_size > 1:
            # The first rank's, on every rank: they run a sharded model together, or hang.
            one = trainer.strategy.broadcast(None if one is None else one.to(torch.device("cpu")))
        if one is None:
            return
        one = one.to(pl_module.device)
        with isolated(trainer, pl_module), torch.no_grad(), observe(observed(pl_module)) as seen:
            pl_module.predict_step(one, 0)
        if not trainer.is_global_zero or not seen.attention:
            return
        # Not as many as could tell: a LinearAttention whose queries are turned has no weights.
        n_layers = len(seen.attention)
        layers = self._layers(n_layers)
        _, n_heads, n_tokens, _ = seen.attention[0].shape
        lengths = token_lengths(pl_module, one)
        length = n_tokens if lengths is None else int(lengths[0])
        if length > MAX_TOKENS:
            return
        heads = self._heads(n_heads)
        with torch.no_grad():
            weights = [attention_weights(seen.attention[layer]) for layer in layers]
        maps = [each[0, heads, :length, :length].float().cpu() for each in weights]
        layers = [seen.layers[layer] for layer in layers]  # others mix without weights
        of = f"{_some('layer', layers, n_layers)}, {_some('head', heads, n_heads)}"
        title = f"attention of one test sequence: {of}"
        draw_maps(trainer, "attention", maps, layers, heads, title)

    def _layers(self, count: int) -> list[int]:
        if self.layers is not None:
            return _chosen("layers", self.layers, count)
        n = min(self.n_layers, count)
        return [round(i * (count - 1) / max(n - 1, 1)) for i in range(n)]

    def _heads(self, count: int) -> list[int]:
        if self.heads is not None:
            return _chosen("heads", self.heads, count)
        return list(range(min(self.n_heads, count)))


def _count_layers(module: torch.nn.Module) -> int:
    return sum(isinstance(each, Kernels | TellsWeights) for each in module.modules())


def _chosen(name: str, numbers: Sequence[int], count: int) -> list[int]:
    wrong = [number for number in numbers if not -count <= number < count]
    if wrong or not numbers:
        which = f"no {wrong[0]}" if wrong else "none is named"
        raise ValueError(f"AttentionMaps: {name}: the model has {count}, from 0: {which}")
    return sorted({number % count for number in numbers})


def _some(name: str, numbers: Sequence[int], count: int) -> str:
    if len(numbers) == count:
        return f"all {count} {name}s"
    return f"{name}s {', '.join(map(str, numbers))} of {count}"


def draw_maps(
    trainer: L.Trainer,
    name: str,
    maps: list[Tensor],
    layers: list[int],
    heads: list[int],
    title: str,
    of: tuple[str, str] = ("query", "key"),
) -> None:
    """Draw `figures/<name>`: weights of attention, layers by heads.

    Args:
        trainer: Says where.
        name: Of the picture.
        maps: (H, T, S) of each layer.
        layers: Their numbers.
        heads: Those of the heads.
        title: Above the picture.
        of: What rows and columns of a map are.
    """
    figure = new_figure(figsize=(1.7 * len(heads) + 1.4, 1.7 * len(layers) + 0.7))
    axes = figure.subplots(len(layers), len(heads), squeeze=False, sharex=True, sharey=True)
    top = max(float(weights.max()) for weights in maps)
    for row, layer in enumerate(layers):
        for column, head in enumerate(heads):
            ax = axes[row, column]
            image = ax.imshow(maps[row][column].numpy(), cmap="magma", vmin=0, vmax=top)
            if row == 0:
                ax.set_title(f"head {head}", fontsize=9)
        axes[row, 0].set_ylabel(f"layer {layer}\n{of[0]}", fontsize=9)
    for ax in axes[-1]:
        ax.set_xlabel(of[1], fontsize=9)
    figure.colorbar(image, ax=axes, label="attention weight", shrink=0.7)
    figure.suptitle(title, fontsize=10, wrap=True)
    numbers: dict[str, Any] = {
        word_of(layer): [
            [[round(w, 5) for w in query] for query in head] for head in maps[row].tolist()
        ]
        for row, layer in enumerate(layers)
    }
    log_figure(trainer, name, figure, numbers)
