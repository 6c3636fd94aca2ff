"""Are all experts busy, and does position decide who is?"""

import lightning as L

from lightning_posenc.callbacks.by_depth import draw_by_depth, draw_last
from lightning_posenc.callbacks.probing import Observing
from lightning_posenc.diagnostics.measures.measure import measurement
from lightning_posenc.diagnostics.quantities import QUANTITIES

LOAD = QUANTITIES["experts/load"]


class ExpertLoad(Observing):
    """Logs what the experts of each layer get to do, and draws `figures/expert_load` and
    `figures/load_by_expert`.

    By layer and expert: `experts/layer_03/load_01`, its share of all choices. By layer:
    `experts/layer_03/largest` (the largest load over an even one), `…/entropy` of the router's
    probabilities in nats, `…/dropped` (choices that would find no place in training) and
    `…/by_position` (how much of the choice the place in the row explains). The router is seen as
    it is in evaluation, without noise. Definitions: `diagnostics/measures/routing.py`.

    Args:
        every_n_steps: Optimizer steps from one measurement to the next, at least 1.
        n_sequences: Sequences measured, at least 1; fewer if a batch has fewer.
    """

    measurements = (measurement("expert_load"),)

    def __init__(self, every_n_steps: int = 100, n_sequences: int = 32) -> None:
        super().__init__(every_n_steps, n_sequences)

    def draw(self, trainer: L.Trainer) -> None:
        (of,) = self.measurements
        by_depth = [quantity for quantity in of.quantities if quantity != LOAD]
        draw_by_depth(trainer, of.name, of.title, by_depth, self.history)
        title = f"{LOAD.title} at step {self.history.last_step}"
        draw_last(trainer, "load_by_expert", title, LOAD, "expert", self.history)
