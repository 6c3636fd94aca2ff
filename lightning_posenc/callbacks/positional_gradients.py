"""How strong is the gradient through the positional channels?"""

from typing import Any

import lightning as L
import torch

from lightning_posenc.callbacks.by_depth import STREAM, Panel, draw_by_depth, draw_last
from lightning_posenc.callbacks.history import of_layer
from lightning_posenc.callbacks.probing import Measured, Probing
from lightning_posenc.diagnostics.measures.gradients import positional_gradients
from lightning_posenc.diagnostics.observing.hook_gradients import CHANNELS

WHAT = {
    "embed": "the residual stream after embed",
    "transform": "queries and keys after transform",
    "bias": "the bias of the logits",
    "rescore": "logits after rescore",
    "values": "the values before they are mixed",
    "output": "what was mixed of them",
}


class PositionalGradients(Probing):
    """Logs norms of the loss's gradient through every positional channel, and draws
    `figures/positional_gradients` and, for rotary encodings, `figures/gradient_by_plane`.

    By block: `pos_grad/layer_03/embed`, `…/transform`, `…/bias`, `…/rescore`, `…/values` and
    `…/output` (those that the encoding has) and `…/plane_00` for each rotary plane. Of the residual
    stream after 3 blocks (layer_00: what enters the first): `pos_grad/layer_03/residual`, and
    `…/share`, what of it position explains. Besides: `pos_grad/parameters/<name>`,
    `pos_grad/positions` (norm over positions) and `pos_grad/positions_sum` (their sum over the sum
    of their sizes: 0 where only distances matter). Definitions: `diagnostics/gradients.py`.

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
        for channel, layers in found.contributions.items():
            for layer, norm in layers.items():
                measured[f"pos_grad/{of_layer(layer)}/{channel}"] = norm
        for layer, norms in found.planes.items():
            for plane, norm in enumerate(norms):
                measured[f"pos_grad/{of_layer(layer)}/plane_{plane:02d}"] = norm
        for layer, (norm, share) in enumerate(zip(found.residual, found.share, strict=True)):
            measured[f"pos_grad/{of_layer(layer)}/residual"] = norm
            measured[f"pos_grad/{of_layer(layer)}/share"] = share
        for name, norm in found.parameters.items():
            measured[f"pos_grad/parameters/{name}"] = norm
        if found.positions is not None:
            size = found.positions.abs().sum().clamp(min=torch.finfo(torch.float32).tiny)
            measured["pos_grad/positions"] = found.positions.norm()
            measured["pos_grad/positions_sum"] = found.positions.sum() / size
        return measured

    def draw(self, trainer: L.Trainer) -> None:
        channels = [
            Panel(f"pos_grad/{{}}/{channel}", f"gradient of {WHAT[channel]}", log=True)
            for channel in CHANNELS
        ]
        panels = (
            *channels,
            Panel(
                "pos_grad/{}/residual", "gradient of the residual stream", log=True, depth=STREAM
            ),
            Panel(
                "pos_grad/{}/share",
                "share of that gradient explained by position",
                "0: position teaches this layer nothing",
                (0, 1),
                depth=STREAM,
            ),
        )
        title = "gradient through the positional channels, by layer and step (norms)"
        draw_by_depth(trainer, "positional_gradients", title, panels, self.history)
        draw_last(
            trainer,
            "gradient_by_plane",
            f"gradient of the rotary planes' angles at step {self.history.last_step}",
            "pos_grad/{}/plane_*",
            self.history,
        )
