"""A vector for each token id."""

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import whole
from lightning_posenc.dims import Dims
from lightning_posenc.model.door import checked_tokens
from lightning_posenc.model.inputs.base import Inputs


class TokenEmbedding(Inputs):
    """A table of V learned vectors, at N(0, embed_std²) at first.

    Args:
        dims: Sizes of the model.
        vocab_size: V, at least 1.

    Raises:
        ValueError: If the data has no token ids, or they are out of range.
    """

    def __init__(self, dims: Dims, vocab_size: int | None) -> None:
        super().__init__(dims, vocab_size)
        if vocab_size is None:
            raise ValueError(
                "TokenEmbedding: vocab_size=None: the data has no token ids: choose inputs that "
                "take what it has (--model.inputs)"
            )
        self.vocab_size = whole(self, "vocab_size", vocab_size)
        self.weight = nn.Embedding(self.vocab_size, dims.d_model).weight
        nn.init.normal_(self.weight, std=dims.embed_std)

    @property
    def std(self) -> float:
        """Standard deviation of the table at initialisation."""
        return self.dims.embed_std

    def forward(self, tokens: Tensor) -> Tensor:
        return F.embedding(checked_tokens(tokens, self.vocab_size), self.weight)
