"""How strong is the gradient through the positional channels?"""

from typing import Any

import lightning as L
import torch

from lightning_posenc.callbacks.by_depth import draw_by_depth, draw_last
from lightning_posenc.callbacks.probing import Measured, Probing
from lightning_posenc.diagnostics.measures.gradients import positional_gradients
from lightning_posenc.diagnostics.metric_keys import Key
from lightning_posenc.diagnostics.quantities import GRADIENTS, QUANTITIES

PLANE = QUANTITIES["pos_grad/plane"]


class PositionalGradients(Probing):
    """Logs norms of the loss's gradient through every positional channel, and draws
    `figures/positional_gradients` and, for rotary encodings, `figures/gradient_by_plane`.

    By block: `pos_grad/layer_03/embed`, `…/transform`, `…/bias`, `…/rescore`, `…/values` and
    `…/output` (those that the encoding has) and `…/plane_00` for each rotary plane. Of the residual
    stream after 3 blocks (layer_00: what enters the first): `pos_grad/layer_03/residual`, and
    `…/share`, what of it position explains. Besides: `pos_grad/parameters/<name>`,
    `pos_grad/positions` (norm over positions) and `pos_grad/positions_sum` (their sum over the sum
    of their sizes: 0 where only distances matter). Definitions:
    `diagnostics/measures/gradients.py`.

    Args:
        every_n_steps: Optimizer steps from one measurement to the next, at least 1.
        n_sequences: Sequences measured, at least 1; fewer if a batch has fewer.
        with_positions: Whether to measure the gradient of the positions themselves: one pass more,
            in which a distance bias is evaluated for every pair of tokens.
    """

    def __init__(
        self, every_n_steps: int = 100, n_sequences: int = 8, with_positions: bool = True
    ) -> None:
        super().__init__(every_n_steps, n_sequences)
        self.with_positions = with_positions
        self._scaler: Any = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        self._scaler = getattr(trainer.precision_plugin, "scaler", None)

    def measure(self, module: Any, batch: Any, batch_idx: int) -> Measured:
        found = positional_gradients(
            module,
            batch,
            batch_idx,
            with_positions=self.with_positions,
            scale=1.0 if self._scaler is None else self._scaler.get_scale(),
        )
        measured: dict[str, Any] = {}

        def put(name: str, value: Any, layer: int | None = None, part: int | None = None) -> None:
            measured[str(Key(f"pos_grad/{name}", layer=layer, part=part))] = value

        for channel, layers in found.contributions.items():
            for layer, norm in layers.items():
                put(channel, norm, layer)
        for layer, norms in found.planes.items():
            for plane, norm in enumerate(norms):
                put("plane", norm, layer, plane)
        for layer, (norm, share) in enumerate(zip(found.residual, found.share, strict=True)):
            put("residual", norm, layer)
            put("share", share, layer)
        for name, norm in found.parameters.items():
            put(f"parameters/{name}", norm)
        if found.positions is not None:
            size = found.positions.abs().sum().clamp(min=torch.finfo(torch.float32).tiny)
            put("positions", found.positions.norm())
            put("positions_sum", found.positions.sum() / size)
        return measured

    def draw(self, trainer: L.Trainer) -> None:
        shown = [quantity for quantity in GRADIENTS if quantity != PLANE]
        title = "gradient through the positional channels, by layer and step (norms)"
        draw_by_depth(trainer, "positional_gradients", title, shown, self.history)
        title = f"gradient of the rotary planes' angles at step {self.history.last_step}"
        draw_last(trainer, "gradient_by_plane", title, PLANE, "plane", self.history)
