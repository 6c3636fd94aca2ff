"""Vectors of tokens that are small in their table and large in the stream."""

from torch import Tensor, nn

from lightning_posenc.dims import Dims
from lightning_posenc.model.inputs.token_embedding import TokenEmbedding


class ScaledEmbedding(TokenEmbedding):
    """sqrt(D) · E[token], whose table starts at embed_std / sqrt(D): the stream starts as with
    TokenEmbedding, and a step of the optimizer moves it sqrt(D) times as far.

    Source: Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762, section 3.4.

    Args:
        dims: Sizes of the model.
        vocab_size: V, at least 1.
    """

    def __init__(self, dims: Dims, vocab_size: int | None) -> None:
        super().__init__(dims, vocab_size)
        self.scale = dims.d_model**0.5
        nn.init.normal_(self.weight, std=self.std)

    @property
    def std(self) -> float:
        return super().std / self.dims.d_model**0.5

    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens) * self.scale
