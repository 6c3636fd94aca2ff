"""How much of the activations does position explain?"""

from lightning_posenc.callbacks.probing import Observing
from lightning_posenc.diagnostics.measures.measure import measurement


class PositionalShare(Observing):
    """Logs the share of the residual stream's variance that the position index explains, and draws
    `figures/positional_share`.

    `pos_share/layer_03` is that after 3 blocks; layer_00 is what enters the first one. Definition:
    `diagnostics/measures/positional_share.py`.
    """

    measurements = (measurement("positional_share"),)
