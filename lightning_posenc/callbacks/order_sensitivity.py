"""Does the model use order?"""

import math
from typing import Any

import lightning as L
import torch
from torch import Tensor

from lightning_posenc.callbacks.probing import Measured, Probing
from lightning_posenc.compat.torch import start_afresh
from lightning_posenc.data.batch import Batch, are_ids
from lightning_posenc.diagnostics.measures.order_sensitivity import order_sensitivity
from lightning_posenc.diagnostics.metric_keys import Key
from lightning_posenc.diagnostics.observing.made_tokens import tokens_changed
from lightning_posenc.diagnostics.quantities import ORDER
from lightning_posenc.modules.generators import random_state, set_random_state
from lightning_posenc.positions import Places
from lightning_posenc.runs.figures import log_figure, new_figure

SHORTEST = 4  # tokens, below which there is no order to speak of


class OrderSensitivity(Probing):
    """Logs how much the outputs change when tokens or positions are moved, and draws
    `figures/order_sensitivity`.

    `order/swapped`, `order/shuffled`, `order/shifted`, `order/zeroed`: size of the change over size
    of the outputs. 0 where the model does not notice; NaN where it refuses such positions.
    Sequences are cut to the shortest of them. Of images and frames it is the tokens made of patches
    and frames that are moved; on a grid rows and columns are shifted, and class tokens stay behind.
    Definition: `diagnostics/measures/order_sensitivity.py`.
    """

    needs = ("score", "logits", "trunk")

    def measure(self, module: Any, batch: Any, batch_idx: int) -> Measured:
        n_entries = batch.tokens.shape[1]
        if batch.lengths is not None:
            n_entries = min(n_entries, int(batch.lengths.min()))
            batch = batch._replace(tokens=batch.tokens[:, :n_entries], lengths=None)
        cut = batch._replace(
            documents=None if batch.documents is None else batch.documents[:, :n_entries],
            positions=None if batch.positions is None else batch.positions[:, :n_entries],
        )
        moved = _Ids(cut) if are_ids(cut.tokens) else _MadeTokens(module, cut)
        if moved.tokens.shape[1] < SHORTEST:
            return dict.fromkeys((quantity.name for quantity in ORDER), math.nan)
        state = random_state(module)

        def forward(tokens: Tensor, positions: Tensor | None) -> Tensor:
            set_random_state(module, state)  # positions that are drawn are drawn the same each time
            try:
                return moved.logits(module, tokens, positions)
            except ValueError:  # positions beyond a table's end, which count as NaN
                start_afresh(module.trunk)
                raise

        changes = order_sensitivity(forward, moved.tokens, places=moved.places)
        return {str(Key(f"order/{name}")): x for name, x in changes._asdict().items()}

    def draw(self, trainer: L.Trainer) -> None:
        figure = new_figure(figsize=(7, 3.6))
        ax = figure.subplots()
        for quantity in ORDER:
            what = quantity.title.rpartition(", ")[2]
            ax.plot(self.history.steps, self.history.columns[quantity.name], ".-", label=what)
        ax.set(xlabel="optimizer step", ylabel="relative change of the outputs", ylim=(0, None))
        ax.set_title("order sensitivity: does the model notice? (0: it does not)", fontsize=10)
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8)
        log_figure(trainer, "order_sensitivity", figure, self.history.as_json())


class _Ids:
    """Token ids that are moved."""

    places: Tensor | None = None

    def __init__(self, batch: Batch) -> None:
        self.batch, self.tokens = batch, batch.tokens

    def logits(self, module: Any, tokens: Tensor, positions: Tensor | None) -> Tensor:
        """What the model says of them in another order, or told other positions."""
        positions = self.batch.positions if positions is None else positions
        found: Tensor = module.logits(self.batch._replace(tokens=tokens, positions=positions))
        return found


class _MadeTokens:
    """Tokens (B, T, D) that are made of patches or frames; class tokens before them stay."""

    def __init__(self, module: Any, batch: Batch) -> None:
        self.batch = batch
        x, places, _ = module.embedded(batch.tokens, batch)
        values = places.values if isinstance(places, Places) else places
        on_axes = values is not None and values.dim() == 3
        n = int((values[0] < 0).all(dim=-1).sum()) if on_axes else 0
        self.first, self.tokens = x[:, :n], x[:, n:]
        self.outside = values[:, :n] if on_axes else None
        self.places: Tensor | None = values[:, n:] if on_axes else None

    def logits(self, module: Any, tokens: Tensor, positions: Tensor | None) -> Tensor:
        """As of `_Ids`."""
        whole = torch.cat([self.first, tokens], dim=1)
        if positions is not None and self.outside is not None:
            positions = torch.cat([self.outside, positions], dim=1)
        batch = self.batch if positions is None else self.batch._replace(positions=positions)
        with tokens_changed(module.embedding, lambda _: whole):
            found: Tensor = module.logits(batch)
        return found
