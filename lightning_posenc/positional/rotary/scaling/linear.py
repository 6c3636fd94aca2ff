"""Position interpolation."""

from torch import Tensor

from lightning_posenc.positional.rotary.scaling.base import Scaling, Spectrum, geometric
from lightning_posenc.positions.paper import Paper


class LinearScaling(Scaling):
    """θ_i / factor: positions are squeezed into the trained range (position interpolation).

    Source: Chen et al. 2023, "Extending Context Window of Large Language Models via Positional
    Interpolation", arXiv:2306.15595, equation 4; "linear" in Hugging Face.

    Args:
        factor: s, how many times longer sequences become, at least 1.
        trained_length: Longest sequence of the training; not used, here for all to be alike.

    Raises:
        ValueError: If one of them makes no sense.
    """

    source = Paper(
        "Chen et al.",
        2023,
        "Extending Context Window of Large Language Models via Positional Interpolation",
        "2306.15595",
        "equation 4",
    )
    equation = r"\theta_i' = \theta_i / s"

    def __call__(self, base: float, width: int, positions: Tensor) -> Spectrum:
        return Spectrum(geometric(base, width, positions.device) / self.factor)
