"""The inner product of sinusoids, as a bias."""

import torch
from torch import Tensor

from lightning_posenc.checks import MOST_WIDTH, whole, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.positional.bias.base import RelativeBias
from lightning_posenc.positional.bias.sides import Form, mirrored_form
from lightning_posenc.positional.rotary.scaling import checked_base, geometric
from lightning_posenc.positions.paper import Paper


class Sandwich(RelativeBias):
    """A penalty of distance, unlearned: the inner product of two positions' sinusoids.

    bias_h(delta) = sum_i (cos(delta · base^(-2i/d)) - 1) / c_h, with c_h = 8 (h + 1) / H.

    The sum runs over i in 0..d/2-1: it is the inner product of two sinusoidal encodings of width
    d, and nothing is learned. The paper has no "- 1"; it adds the same to every key, which changes
    no weight, and keeps the numbers small near the diagonal.

    Source: Chi et al. 2023, "Dissecting Transformer Length Extrapolation via the Lens of Receptive
    Field Analysis", arXiv:2212.10356, the code of appendix E. Deviation: the paper is causal. In a
    bidirectional model the symmetric form cannot tell left from right; the two-sided form gives
    each head the mirrored head's c for keys in the future, as in ALiBi.

    Args:
        dims: Sizes of the model.
        width: d, even, at least 2, a choice apart from the model's sizes: the smaller, the faster
            the decay.
        base: Ratio between the longest wavelength and 2·pi; in (1, 1e30].
        form: "symmetric" (in a causal model: the paper's) or "two_sided". None takes "symmetric"
            for a causal model and "two_sided" for a bidirectional one.

    Raises:
        ValueError: On an odd width, or the two-sided form with a single head.
    """

    source = Paper(
        "Chi et al.",
        2023,
        "Dissecting Transformer Length Extrapolation via the Lens of Receptive Field Analysis",
        "2212.10356",
        "appendix E",
    )
    equation = (
        r"b_h(\Delta) = \frac{1}{c_h} \sum_{i=0}^{d/2-1}"
        r" \left( \cos(\Delta\, \mathrm{base}^{-2i/d}) - 1 \right), \quad c_h = \frac{8(h+1)}{H}"
    )

    def __init__(
        self,
        dims: Dims,
        width: int = 128,
        base: float = 10000.0,
        form: Form | None = None,
    ) -> None:
        super().__init__(dims)
        self.width = whole(self, "width", width, 2, MOST_WIDTH)
        if width % 2:
            raise wrong(self, "width", width, "be even, as 128 is")
        self.base = checked_base(self, base)
        self.form = mirrored_form(self, form, dims)

    def bias_at(self, delta: Tensor) -> Tensor:
        inv_freq = geometric(self.base, self.width, delta.device)
        # 1 - cos(a) = 2 sin(a/2)^2, which does not cancel
        total = -2 * (delta.unsqueeze(-1) * inv_freq / 2).sin().square().sum(-1)
        heads = torch.arange(1, self.dims.n_heads + 1, device=delta.device).float()
        past = (self.dims.n_heads / (8 * heads)).view(-1, *[1] * delta.dim())
        if self.form == "symmetric":
            return past * total
        return torch.where(delta < 0, past.flip(0), past) * total
