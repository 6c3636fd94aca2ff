"""Normalised queries and keys: logits that cannot grow without bound.

Shapes: B sequences, H heads, G key-value heads, T queries, S keys, K channels of a head.
"""

from collections.abc import Callable

from torch import Tensor, nn

from lightning_posenc.checks import MOST_WIDTH, made, whole


class QKNorm(nn.Module):
    """A norm over the K channels of every query and one over those of every key.

    With RMS norms of gains g_q and g_k, |logit| <= sqrt(K) · max|g_q ⊙ g_k| whatever the weights
    are. The gains are learned and shared by the heads. Source: Henry et al. 2020, "Query-Key
    Normalization for Transformers", arXiv:2010.04245; in this form, a layer norm with gain,
    Dehghani et al. 2023 (ViT-22B), arXiv:2302.05442, section 2.1; with RMS norms, Qwen3,
    arXiv:2505.09388, section 2.

    Args:
        d_head: K.
        norm: Makes a norm of a width.
    """

    def __init__(self, d_head: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        whole(self, "d_head", d_head, most=MOST_WIDTH)
        self.q = made(self, "norm", norm, nn.Module, d_head)
        self.k = made(self, "norm", norm, nn.Module, d_head)

    def forward(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """Normalise (B, H, T, K) and (B, G, S, K); the dtypes stay."""
        return normed(self.q, q), normed(self.k, k)


def normed(norm: nn.Module, x: Tensor) -> Tensor:
    """Normalise (…, K) in the dtype of the norm's weights: under autocast, x has half of it."""
    weight = next(norm.parameters(), x)
    return norm(x.to(weight.dtype)).to(x.dtype)
