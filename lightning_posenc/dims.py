"""The sizes that every part of a model agrees on."""

from dataclasses import dataclass

from lightning_posenc.checks import MOST_WIDTH, number, whole, wrong


@dataclass(frozen=True)
class Dims:
    """What an encoding is told about the model that it serves.

    Args:
        d_model: Width of the residual stream, a multiple of `n_heads`, at most 65536.
        n_heads: Number of attention heads, at least 1.
        n_layers: Number of blocks, 1 to 10000.
        causal: Whether a token sees only itself and its past.
        embed_std: Standard deviation of the token embeddings at initialisation, in [1e-6, 1e6].
            Absolute encodings start at this scale, so that neither signal drowns the other.

    Raises:
        ValueError: If a size is out of range or the heads do not divide the width.
    """

    d_model: int
    n_heads: int
    n_layers: int
    causal: bool = False
    embed_std: float = 1.0

    def __post_init__(self) -> None:
        whole(self, "d_model", self.d_model, most=MOST_WIDTH)
        whole(self, "n_heads", self.n_heads)
        whole(self, "n_layers", self.n_layers, most=10_000)
        number(self, "embed_std", self.embed_std, 1e-6)
        if self.d_model % self.n_heads:
            allowed = f"be a multiple of n_heads={self.n_heads}: heads have equally many channels"
            raise wrong(self, "d_model", self.d_model, allowed)

    @property
    def d_head(self) -> int:
        """Channels of one head."""
        return self.d_model // self.n_heads
