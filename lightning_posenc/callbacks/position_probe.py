"""Can a linear map read the position from a token's state?"""

import math
from typing import Any

import lightning as L
import torch
from torch import Tensor

from lightning_posenc.callbacks.by_depth import STREAM, Panel, draw_by_depth
from lightning_posenc.callbacks.history import of_layer
from lightning_posenc.callbacks.probing import Measured, Probing
from lightning_posenc.checks import whole
from lightning_posenc.diagnostics.measures.probe import ProbeResult, probe_positions
from lightning_posenc.diagnostics.observing.observe import observe

HELD_OUT = 4  # a probe is tried on every fourth sequence, and fitted to the others


class PositionProbe(Probing):
    """Logs how well a ridge regression reads positions from the residual stream, and draws
    `figures/position_probe`.

    `probe/mae/layer_03` is the mean absolute distance after 3 blocks, in tokens, and `probe/r2/…`
    its R², on sequences that the probe was not fitted to; layer_00 is what enters the first block.
    Chance is a quarter of the length. With fewer tokens than channels to fit to, the probe sees
    less than there is. Definition: `diagnostics/probe.py`, after Haviv et al. 2022,
    arXiv:2203.16634.

    Args:
        every_n_steps: Optimizer steps from one measurement to the next, at least 1.
        n_sequences: Sequences used, at least 2; fewer if a batch has fewer.
    """

    def __init__(self, every_n_steps: int = 100, n_sequences: int = 32) -> None:
        super().__init__(every_n_steps, n_sequences)
        whole(self, "n_sequences", n_sequences, 2)  # one to fit the probe to, one to try it on
        self._length = 0

    def measure(self, module: Any, batch: Any, batch_idx: int) -> Measured:
        with observe(module) as seen:
            module.score(batch, batch_idx)
        n_sequences, self._length = batch.tokens.shape
        held_out = torch.arange(n_sequences, device=batch.tokens.device) % HELD_OUT == 0
        lengths = (None, None) if batch.lengths is None else _split(batch.lengths, held_out)
        measured: dict[str, float] = {}
        for layer, x in enumerate(seen.hidden):
            found = ProbeResult(math.nan, math.nan)  # of one sequence
            if n_sequences > 1:
                train, test = _split(x, held_out)
                found = probe_positions(
                    train, test, train_lengths=lengths[0], test_lengths=lengths[1]
                )
            measured[f"probe/mae/{of_layer(layer)}"] = found.mae
            measured[f"probe/r2/{of_layer(layer)}"] = found.r2
        return measured

    def draw(self, trainer: L.Trainer) -> None:
        chance = self._length / 4
        panels = (
            Panel(
                "probe/mae/{}",
                "mean distance from the true position, in tokens",
                "0: every token knows where it is",
                (0, chance) if chance else None,
                mark=(chance, "chance") if chance else None,
                depth=STREAM,
            ),
            Panel("probe/r2/{}", "R²", "1: every token knows where it is", (0, 1), depth=STREAM),
        )
        title = "position probe: can a linear map read the position, layer by layer?"
        draw_by_depth(trainer, "position_probe", title, panels, self.history)


def _split(x: Tensor, held_out: Tensor) -> tuple[Tensor, Tensor]:
    return x[~held_out], x[held_out]
