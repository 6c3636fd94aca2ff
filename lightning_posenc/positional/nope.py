"""No positional encoding."""

from lightning_posenc.positional.base import PositionalEncoding
from lightning_posenc.positions.paper import Paper


class NoPE(PositionalEncoding):
    """Nothing at all: a causal mask is then the only source of order; bidirectional, there is none.

    Source: Kazemnejad et al. 2023, "The Impact of Positional Encoding on Length Generalization in
    Transformers", arXiv:2305.19466; Haviv et al. 2022, arXiv:2203.16634.
    """

    shift_invariant = True

    source = Paper(
        "Kazemnejad et al.",
        2023,
        "The Impact of Positional Encoding on Length Generalization in Transformers",
        "2305.19466",
    )
    equation = r"\ell_{ij} = \frac{q_i \cdot k_j}{\sqrt K}"

    axes = None
