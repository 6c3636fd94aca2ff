"""Position interpolation."""

from lightning_posenc.positional.rotary.scaling import LinearScaling
from lightning_posenc.pretrained.frequencies import FrequencyMap
from lightning_posenc.pretrained.methods.static_map import StaticMap, any_map, kept_parameters


class PI(StaticMap):
    """Position interpolation: all positions are divided by to / L.

    Source: Chen et al. 2023, "Extending Context Window of Large Language Models via Positional
    Interpolation", arXiv:2306.15595, equation 4. A map that is scaled already is divided too.
    """

    name = "pi"
    source = LinearScaling.source
    unscaled_only = False

    def changed(self, now: FrequencyMap, trained_length: int, to: int) -> FrequencyMap:
        factor = to / trained_length
        inv_freq = now.inv_freq / factor
        if now.kind == "default" and now.temperature == 1:
            said = kept_parameters(now) | {"rope_type": "linear", "factor": factor}
        else:
            said = any_map(now, inv_freq, now.temperature, trained_length, to)
        return FrequencyMap(inv_freq, now.temperature, now.base, said)
