"""Can a linear map read the position from a token's state?"""

import lightning as L
from torch import Tensor

from lightning_posenc.callbacks.by_depth import draw_by_depth
from lightning_posenc.callbacks.probing import Measured, Observing
from lightning_posenc.checks import whole
from lightning_posenc.diagnostics.measures.measure import measurement
from lightning_posenc.diagnostics.observing.observe import Observation


class PositionProbe(Observing):
    """Logs how well a ridge regression reads positions from the residual stream, and draws
    `figures/position_probe`.

    `probe/mae/layer_03` is the mean absolute distance after 3 blocks, in tokens, and `probe/r2/…`
    its R², on sequences that the probe was not fitted to; layer_00 is what enters the first block.
    Chance is a quarter of the length. On a grid `probe/row/…` and `probe/column/…` are distances in
    rows and columns, whose means the other two are; chance is a quarter of the side. With fewer
    tokens than channels to fit to, the probe sees less than there is. Definition:
    `diagnostics/measures/probe.py`, after Haviv et al. 2022, arXiv:2203.16634.

    Args:
        every_n_steps: Optimizer steps from one measurement to the next, at least 1.
        n_sequences: Sequences used, at least 2; fewer if a batch has fewer.
    """

    measurements = (measurement("position_probe"),)

    def __init__(self, every_n_steps: int = 100, n_sequences: int = 32) -> None:
        super().__init__(every_n_steps, n_sequences)
        whole(self, "n_sequences", n_sequences, 2)  # one to fit the probe to, one to try it on
        self._length = 0.0

    def measure_in(self, seen: Observation, lengths: Tensor | None) -> Measured:
        self._length = _side(seen)
        return super().measure_in(seen, lengths)

    def draw(self, trainer: L.Trainer) -> None:
        (of,) = self.measurements
        chance = self._length / 4
        errors = ("probe/mae", "probe/row", "probe/column")
        marks = dict.fromkeys(errors, (chance, "chance")) if chance else {}
        draw_by_depth(trainer, of.name, of.title, of.quantities, self.history, marks)


def _side(seen: Observation) -> float:
    """Tokens of a sequence; of a grid the mean of its sides."""
    if seen.cells is None:
        return seen.hidden[0].shape[1]
    return float((seen.cells.amax(dim=(0, 1)) + 1).double().mean())
