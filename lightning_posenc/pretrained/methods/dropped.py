"""No rotation at all."""

from lightning_posenc.positions.paper import Paper
from lightning_posenc.pretrained.frequencies import FrequencyMap
from lightning_posenc.pretrained.methods.static_map import StaticMap, any_map, kept_parameters


class DroPE(StaticMap):
    """Drops the rotation: every frequency is 0, and the causal mask alone tells the order.

    Source: Gelberg et al. 2025, "Extending the Context of Pretrained LLMs by Dropping Their
    Positional Embeddings", arXiv:2512.12167. The paper then trains on for a while; without that
    most models break.
    """

    name = "drope"
    source = Paper(
        "Gelberg et al.",
        2025,
        "Extending the Context of Pretrained LLMs by Dropping Their Positional Embeddings",
        "2512.12167",
    )
    unscaled_only = False

    def changed(self, now: FrequencyMap, trained_length: int, to: int) -> FrequencyMap:
        still = now.inv_freq.new_zeros(now.inv_freq.shape)
        said = kept_parameters(now)
        if "partial_rotary_factor" in said:  # families of which read that key for more than this
            said = any_map(now, still, now.temperature, trained_length, to)
        else:
            said |= {"rope_type": "proportional", "partial_rotary_factor": 0.0}
        return FrequencyMap(still, now.temperature, now.base, said)
