"""The Bayesian attention mechanism's prior of distance."""

import math

import torch
from torch import Tensor, nn

from lightning_posenc.checks import number
from lightning_posenc.dims import Dims
from lightning_posenc.positional.bias.alibi import slopes
from lightning_posenc.positional.bias.layered import LayeredBias
from lightning_posenc.positions.paper import Paper

EPSILON = 1e-5  # as in the authors' code


class BAM(LayeredBias):
    """A penalty that grows with a learned power of the distance from a place that a head prefers.

    bias_h(i, j) = -exp(α_h) · (|j - i - 2 sinh μ_h| + ε)^β_h, with learned α and β.

    The logarithm of a generalised Gaussian over offsets: β = 1 and μ = 0 is ALiBi, β = 2 a
    Gaussian, and a negative β favours what is far. It starts as ALiBi. The paper adds it to
    logits scaled by SSMax: `Chain.of(BAM, SSMax)`.

    Source: Bianchessi et al. 2025, "Bayesian Attention Mechanism: A Probabilistic Framework for
    Positional Encoding and Context Length Extrapolation", arXiv:2505.22842, in the form of the
    authors' code, whose ε is 1e-5. The paper is causal, with one prior for all layers and μ fixed
    at 0. Deviation: in a bidirectional model, where that cannot tell left from right, every other
    head has the opposite μ, which then starts off 0.

    Args:
        dims: Sizes of the model.
        mu: μ at initialisation, -10 to 10; None takes 0 for a causal model and 0.5 for a
            bidirectional one.
        learned_mu: Whether μ is learned.
        shared: The same values in all layers, as in the paper.

    Raises:
        ValueError: If mu is out of range.

    Example:
        >>> from lightning_posenc import Dims, Encoder
        >>> from lightning_posenc.positional import BAM, Chain, SSMax
        >>> encoder = Encoder(Dims(64, 4, 2, causal=True), Chain.of(BAM, SSMax))
    """

    source = Paper(
        "Bianchessi et al.",
        2025,
        "Bayesian Attention Mechanism: A Probabilistic Framework for Positional Encoding and "
        "Context Length Extrapolation",
        "2505.22842",
    )
    equation = (
        r"b_h(i, j) = -e^{\alpha_h} \left( |j - i - 2 \sinh \mu_h| + \varepsilon \right)^{\beta_h}"
    )

    def __init__(
        self,
        dims: Dims,
        mu: float | None = None,
        learned_mu: bool = False,
        shared: bool = True,
    ) -> None:
        super().__init__(dims)
        layers, heads = 1 if shared else dims.n_layers, dims.n_heads
        at_rest = 0.0 if dims.causal else 0.5
        start = at_rest if mu is None else number(self, "mu", mu, -10, 10)
        starts = [-start if h % 2 and not dims.causal else start for h in range(heads)]
        log_slopes = [math.log(slope) for slope in slopes(heads)]
        self.log_scale = nn.Parameter(torch.tensor(log_slopes).repeat(layers, 1))
        self.power = nn.Parameter(torch.ones(layers, heads))
        self.starts = starts
        self.mu = nn.Parameter(torch.tensor(starts).repeat(layers, 1)) if learned_mu else None

    @property
    def n_functions(self) -> int:
        return len(self.power)

    def bias_of(self, number: int, delta: Tensor) -> Tensor:
        if self.mu is None:
            mu = torch.tensor(self.starts, dtype=torch.float32, device=delta.device)
        else:
            mu = self.mu[number].float()
        scale, power = self.log_scale[number].float().exp(), self.power[number].float()
        scale, power, mu = (each.view(-1, *[1] * delta.dim()) for each in (scale, power, mu))
        return -scale * ((delta + 2 * mu.sinh()).abs() + EPSILON) ** power
