"""How does a decoder read its source, while it learns and in the end?"""

from typing import Any

import lightning as L
import torch
from torch import Tensor

from lightning_posenc.callbacks.by_depth import draw_by_depth
from lightning_posenc.callbacks.probing import Measured, Probing
from lightning_posenc.callbacks.results.attention_maps import MAX_TOKENS, draw_maps
from lightning_posenc.checks import whole
from lightning_posenc.diagnostics.measures.alignment import align
from lightning_posenc.diagnostics.measures.measure import logged
from lightning_posenc.diagnostics.observing.first_sequences import first_sequences
from lightning_posenc.diagnostics.observing.observe import observe
from lightning_posenc.diagnostics.quantities import ACROSS
from lightning_posenc.model.kernels import Operands, attention_weights
from lightning_posenc.modules.teacher_forcing import answer_lengths


class CrossAttention(Probing):
    """Logs by layer, means over heads, how cross-attention spreads (`cross/entropy/layer_00`), in
    which order it reads (`cross/monotonicity/…`) and how much (`cross/coverage/…`), and draws
    `figures/cross_attention` of it and `figures/alignment`: which token of a source each token of
    its answer looks at, of one sequence, layers by heads.

    The decoder is told the right answers. Definitions: `diagnostics/measures/alignment.py`.

    Args:
        every_n_steps: Optimizer steps from one measurement to the next, at least 1.
        n_sequences: Sequences measured, at least 1; fewer if a batch has fewer.
        n_heads: At most so many heads are drawn, the first ones, at least 1.
    """

    needs = ("score", "decoder")

    def __init__(self, every_n_steps: int = 100, n_sequences: int = 8, n_heads: int = 8) -> None:
        super().__init__(every_n_steps, n_sequences)
        self.n_heads = whole(self, "n_heads", n_heads)
        self._maps: list[Tensor] = []  # of the last measurement

    def measure(self, module: Any, batch: Any, batch_idx: int) -> Measured:
        lengths = answer_lengths(batch.targets)
        found: dict[str, dict[int, Tensor]] = {}
        self._maps = []

        def take(layer: int, operands: Operands) -> None:
            for name, value in align(operands, lengths, batch.lengths)._asdict().items():
                found.setdefault(f"cross/{name}", {})[layer] = value
            self._maps.append(_map(operands, batch.lengths, int(lengths[0]), self.n_heads))

        with observe(module.decoder, take_across=take):
            module.score(batch, batch_idx)
        return logged(found)

    def draw(self, trainer: L.Trainer) -> None:
        title = "cross-attention, by layer and step (means over heads)"
        draw_by_depth(trainer, "cross_attention", title, ACROSS, self.history)
        maps = [each for each in self._maps if max(each.shape[1:]) <= MAX_TOKENS]
        if maps:
            layers, heads = list(range(len(maps))), list(range(len(maps[0])))
            what = f"one answer, at step {self.history.last_step}"
            axes = "place in the answer", "place in the source"
            draw_maps(trainer, "alignment", maps, layers, heads, f"cross-attention of {what}", axes)


@torch.no_grad()
def _map(operands: Operands, lengths: Tensor | None, n_said: int, n_heads: int) -> Tensor:
    """The weights of the first sequence's real tokens, (H, T, S), on the CPU."""
    weights = attention_weights(first_sequences(operands, 1))[0]
    n_read = weights.shape[-1] if lengths is None else int(lengths[0])
    return weights[:n_heads, :n_said, :n_read].float().cpu()
