"""Which heads' logits grow while a model is trained?"""

from collections.abc import Iterator
from typing import Any

import lightning as L
import torch
from torch import nn

from lightning_posenc.callbacks.by_depth import draw_by_depth, draw_last
from lightning_posenc.callbacks.module_fits import observed
from lightning_posenc.callbacks.probing import Measured, Probing
from lightning_posenc.callbacks.qk_clip import largest_products
from lightning_posenc.diagnostics.metric_keys import Key
from lightning_posenc.diagnostics.observing.blocks import find_stack
from lightning_posenc.diagnostics.observing.observe import observe
from lightning_posenc.diagnostics.quantities import GROWTH, QUANTITIES
from lightning_posenc.model.mixers.multi_head import MultiHead


class LogitGrowth(Probing):
    """Logs each head's largest product of a query and a key, how much it grew since the first look,
    and the spectral norms of its projections, and draws `figures/logit_growth` (means over heads)
    and `figures/logit_growth_by_head`.

    `qk/logit/layer_03/head_1`, `qk/growth/…`, `qk/query_norm/…`, `qk/key_norm/…`. A logit is at
    most |scale| · ‖W_q‖ · ‖W_k‖ · ‖x‖², with inputs x of the attention (Zhai et al. 2023,
    arXiv:2303.06296): where the norms grow, `sigma_reparam` bounds them, and `QKClip` the logits.

    Args:
        every_n_steps: Optimizer steps from one measurement to the next, at least 1.
        n_sequences: Sequences measured, at least 1; fewer if a batch has fewer.

    Raises:
        ValueError: If a number is out of range, or no layer makes logits of queries and keys.
    """

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if not any(isinstance(part, MultiHead) for part in pl_module.modules()):
            raise ValueError(
                "LogitGrowth: no layer makes logits of queries and keys: set "
                "model.encoder.mixer=Attention, or leave it out"
            )

    def measure(self, module: Any, batch: Any, batch_idx: int) -> Measured:
        model, found = observed(module), dict[str, Any]()

        def put(name: str, layer: int, numbers: torch.Tensor) -> None:
            for part, number in enumerate(numbers):
                found[str(Key(f"qk/{name}", layer=layer, part=part))] = number

        with observe(model) as seen:
            module.score(batch, batch_idx)
        for layer, operands in zip(seen.layers, seen.attention, strict=True):
            if operands.score is not None:
                continue
            largest = largest_products(operands, 0.0)
            put("logit", layer, largest)
            first = self._first(layer)
            put("growth", layer, largest - (largest if first is None else first.to(largest)))
        for layer, mixer in _by_layer(model):
            heights = list(mixer.qkv.widths.values())
            q, k, _ = mixer.qkv.weight.detach().float().split(heights)
            for name, matrix in (("query_norm", q), ("key_norm", k)):
                heads = matrix.unflatten(0, (-1, mixer.dims.d_head))
                put(name, layer, torch.linalg.matrix_norm(heads, ord=2))
        return found

    def _first(self, layer: int) -> torch.Tensor | None:
        """The largest products (H,) of a layer at the first look; None before it."""
        heads = self.history.layers("qk/logit").get(layer)
        return None if heads is None else torch.tensor([column[0] for column in heads.values()])

    def draw(self, trainer: L.Trainer) -> None:
        title = "logits and the norms of their projections, by layer and step (means over heads)"
        draw_by_depth(trainer, "logit_growth", title, GROWTH, self.history)
        growth = QUANTITIES["qk/growth"]
        title = f"{growth.title} until step {self.history.last_step}"
        draw_last(trainer, "logit_growth_by_head", title, growth, "head", self.history)


def _by_layer(model: nn.Module) -> Iterator[tuple[int, MultiHead]]:
    """What attends in the watched blocks; stages that follow count layers of their own."""
    stack = find_stack(model)
    for layer, block in enumerate([model] if stack is None else stack.blocks):
        mixer = next((part for part in block.modules() if isinstance(part, MultiHead)), None)
        if mixer is not None:
            yield layer, mixer
