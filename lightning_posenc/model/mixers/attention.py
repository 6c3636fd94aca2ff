"""The attention of the Transformer.

Shapes: B sequences, T tokens, H heads, G key-value heads, K channels of a head, D = H·K.
"""

from torch import Tensor

from lightning_posenc.model.mixers.multi_head import MultiHead
from lightning_posenc.positions.paper import Paper


class Attention(MultiHead):
    """Self-attention, whose queries, keys and logits an encoding may change.

    Source: Vaswani et al. 2017, arXiv:1706.03762; grouped queries: Ainslie et al. 2023,
    arXiv:2305.13245.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0, which the hooks are told.
        n_kv_heads: G, heads of keys and values, each serving H/G query heads; None for H.
        bias: Whether the projections of queries, keys and values have a bias.
        out_bias: Whether the projection into the stream has one; None for as `bias` says.
        dropout: Probability of dropping an attention weight, in [0, 1).
        kernel: How attention is computed, from its dropout; what it does not serve goes to the
            kernel that it names `otherwise`.
        qk_norm: Makes a norm of K channels, for the queries and for the keys; None for none. The
            hooks of the encoding and the cache see queries and keys after it.
        sinks: Whether every head may attend to nothing: a learned logit below the line (Agarwal et
            al. 2025, "gpt-oss", arXiv:2508.10925). A causal model then runs with a mask.

    Raises:
        ValueError: If G does not divide H.
    """

    source = Paper("Vaswani et al.", 2017, "Attention Is All You Need", "1706.03762", "equation 1")
    equation = (
        r"o_i = \sum_j \operatorname{softmax}_j\!\left( \frac{q_i \cdot k_j}{\sqrt K} + b_{ij}"
        r" \right) v_j"
    )

    def join(self, x: Tensor, heads: Tensor) -> Tensor:
        return heads.flatten(-2)
