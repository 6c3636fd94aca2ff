"""Another base of RoPE."""

import torch

from lightning_posenc.checks import number
from lightning_posenc.positional.rotary.scaling import adjusted_base, geometric
from lightning_posenc.positions.paper import Paper
from lightning_posenc.pretrained.frequencies import FrequencyMap
from lightning_posenc.pretrained.methods.static_map import StaticMap, kept_parameters


class AdjustedBase(StaticMap):
    """Adjusted base frequency: RoPE at a larger base, chosen.

    Source: Xiong et al. 2023, "Effective Long-Context Scaling of Foundation Models",
    arXiv:2309.16039, section 2.1, who went from 10,000 to 500,000. Where no base is given it is
    base^(ln(to/2π) / ln(L/2π)), at which as many pairs finish a turn within `to` as did within L
    (after Liu et al. 2023, "Scaling Laws of RoPE-based Extrapolation", arXiv:2310.05209).

    Args:
        base: The new base, in (1, 1e30]; None for that one.

    Raises:
        ValueError: If the base makes no sense.
    """

    name = "abf"
    source = Paper(
        "Xiong et al.",
        2023,
        "Effective Long-Context Scaling of Foundation Models",
        "2309.16039",
        "section 2.1",
    )

    def __init__(self, base: float | None = None) -> None:
        self.base = None if base is None else number(self, "base", base, above=1, most=1e30)

    def changed(self, now: FrequencyMap, trained_length: int, to: int) -> FrequencyMap:
        assert now.base is not None
        base = self.base
        if base is None:
            base = adjusted_base(now.base, trained_length, to)
        inv_freq = geometric(base, 2 * len(now.inv_freq), torch.device("cpu"))
        said = kept_parameters(now) | {"rope_type": "default", "rope_theta": base}
        return FrequencyMap(inv_freq, now.temperature, base, said)
