"""Do the tokens become alike with depth?"""

from lightning_posenc.callbacks.probing import Observing
from lightning_posenc.diagnostics.measures.measure import measurement


class RankCollapse(Observing):
    """Logs how much of the residual stream is not the same for all tokens, and draws
    `figures/rank_collapse`.

    `rank/residual/layer_03`, `rank/cosine/…` and `rank/effective/…` are those after 3 blocks;
    layer_00 is what enters the first one. Definitions: `diagnostics/measures/rank.py`.
    """

    measurements = (measurement("rank_collapse"),)
