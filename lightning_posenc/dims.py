"""The sizes that every part of a model agrees on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Dims:
    """What an encoding is told about the model that it serves.

    Args:
        d_model: Width of the residual stream, a multiple of `n_heads`.
        n_heads: Number of attention heads.
        n_layers: Number of blocks.
        causal: Whether a token sees only itself and its past.
        embed_std: Standard deviation of the token embeddings at initialisation. Absolute
            encodings start at this scale, so that neither signal drowns the other.

    Raises:
        ValueError: If a size is not positive or the heads do not divide the width.
    """

    d_model: int
    n_heads: int
    n_layers: int
    causal: bool = False
    embed_std: float = 1.0

    def __post_init__(self) -> None:
        if min(self.d_model, self.n_heads, self.n_layers) < 1 or self.embed_std <= 0:
            raise ValueError(f"sizes must be positive, got {self}")
        if self.d_model % self.n_heads:
            raise ValueError(
                f"d_model={self.d_model} is not a multiple of n_heads={self.n_heads}: "
                "every head needs the same whole number of channels"
            )

    @property
    def d_head(self) -> int:
        """Channels of one head."""
        return self.d_model // self.n_heads
