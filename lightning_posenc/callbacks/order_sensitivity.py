"""Does the model use order?"""

import math
from typing import Any

import lightning as L
from torch import Tensor

from lightning_posenc.callbacks.probing import Measured, Probing
from lightning_posenc.compat.torch import start_afresh
from lightning_posenc.data.batch import are_ids
from lightning_posenc.diagnostics.measures.order_sensitivity import order_sensitivity
from lightning_posenc.diagnostics.metric_keys import Key
from lightning_posenc.diagnostics.quantities import ORDER
from lightning_posenc.modules.generators import random_state, set_random_state
from lightning_posenc.runs.figures import log_figure, new_figure

SHORTEST = 4  # tokens, below which there is no order to speak of


class OrderSensitivity(Probing):
    """Logs how much the outputs change when tokens or positions are moved, and draws
    `figures/order_sensitivity`.

    `order/swapped`, `order/shuffled`, `order/shifted`, `order/zeroed`: size of the change over size
    of the outputs. 0 where the model does not notice; NaN where it refuses such positions.
    Sequences are cut to the shortest of them. Definition:
    `diagnostics/measures/order_sensitivity.py`.
    """

    needs = ("score", "logits", "trunk")

    def measure(self, module: Any, batch: Any, batch_idx: int) -> Measured:
        if not are_ids(batch.tokens):
            raise ValueError(
                "OrderSensitivity moves token ids, and the data has other inputs "
                f"{tuple(batch.tokens.shape)}: leave it out"
            )
        n_tokens = batch.tokens.shape[1]
        if batch.lengths is not None:
            n_tokens = min(n_tokens, int(batch.lengths.min()))
        if n_tokens < SHORTEST:
            return dict.fromkeys((quantity.name for quantity in ORDER), math.nan)
        cut = batch._replace(
            lengths=None,
            documents=None if batch.documents is None else batch.documents[:, :n_tokens],
            positions=None if batch.positions is None else batch.positions[:, :n_tokens],
        )
        state = random_state(module)

        def forward(tokens: Tensor, positions: Tensor | None) -> Tensor:
            set_random_state(module, state)  # positions that are drawn are drawn the same each time
            positions = cut.positions if positions is None else positions
            try:
                return module.logits(cut._replace(tokens=tokens, positions=positions))
            except ValueError:  # positions beyond a table's end, which count as NaN
                start_afresh(module.trunk)
                raise

        changes = order_sensitivity(forward, batch.tokens[:, :n_tokens])
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
