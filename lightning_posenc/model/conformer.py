"""The block of the Conformer: attention and convolution between two half-steps.

Shapes: B sequences, T tokens, D = d_model.
"""

import copy
from collections.abc import Callable
from typing import cast

from torch import Tensor, nn

from lightning_posenc.checks import made
from lightning_posenc.dims import Dims
from lightning_posenc.model.block import Block
from lightning_posenc.model.convolution import Convolution
from lightning_posenc.model.feed_forward import FeedForward
from lightning_posenc.model.mixers.base import Context, Mixer
from lightning_posenc.model.part import Part
from lightning_posenc.model.residual import Plain, Residual, ResidualFactory
from lightning_posenc.model.reversible import Join, kept


class ConformerBlock(Block):
    """Half a feed-forward, the mixer, a convolution, half another feed-forward, and a norm.

    x = x + ½ F₁(norm(x)), x + mixer(norm(x)), x + convolution(norm(x)), norm(x + ½ F₂(norm(x))).
    Source: Gulati et al. 2020, "Conformer: Convolution-augmented Transformer for Speech
    Recognition", arXiv:2005.08100, equation 1; without the convolution, the block of Lu et al.
    2019, "Macaron Net", arXiv:1906.02762. As in Hugging Face's Wav2Vec2-Conformer, the stack ends
    with a norm of its own besides. An encoder's mask is of attention, and not of the convolution.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        mixer: The mixer.
        feed_forward: The second feed-forward; the first is another like it.
        norm: Makes a norm for a width.
        residual: Makes a `Conformer`.
        dropout: Probability of dropping a channel of a branch's output, in [0, 1).
    """

    def __init__(
        self,
        dims: Dims,
        layer: int,
        mixer: Mixer,
        feed_forward: FeedForward,
        norm: Callable[[int], nn.Module],
        *,
        residual: ResidualFactory,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(dims, layer, mixer, feed_forward, norm, residual=residual, dropout=dropout)
        self.first_feed_forward = copy.deepcopy(self.feed_forward)
        self.norm_first = made(self, "norm", norm, nn.Module, dims.d_model)
        self.residual_first = made(self, "residual", residual, Residual, dims, layer)
        self.convolution: Convolution | None = None
        convolution = cast(Conformer, self.residual_attention).convolution
        if convolution is not None:
            self.convolution = made(self, "convolution", convolution, Convolution, dims, layer)
            self.norm_convolution = made(self, "norm", norm, nn.Module, dims.d_model)
            self.residual_convolution = made(self, "residual", residual, Residual, dims, layer)
        self.norm_last = made(self, "norm", norm, nn.Module, dims.d_model)

    def forward(
        self, x: Tensor, context: Context, beside: Tensor | None = None, join: Join = kept
    ) -> Tensor:
        half = 0.5 * self._fed(self.first_feed_forward, self.norm_first(x), context)
        x = self.residual_first(x, half)
        x = self.residual_attention(
            x, self._branch(self.attention, self.norm_attention(x), context)
        )
        x = self._crossed(x, context)
        if self.convolution is not None:
            branch = self._branch(self.convolution, self.norm_convolution(x), context)
            x = self.residual_convolution(x, branch)
        half = 0.5 * self._fed(self.feed_forward, self.norm_feed_forward(x), context)
        return self.norm_last(self.residual_feed_forward(x, half))

    def initialise(self, std: float) -> None:
        super().initialise(std)
        self.residual_first.initialise(self.first_feed_forward, std)
        if self.convolution is not None:
            self.residual_convolution.initialise(self.convolution, std)


class Conformer(Residual):
    """Joins the branches of a Conformer, two more than others have, as another residual joins them.

    The block's parts are those of `ConformerBlock`.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        convolution: Makes the convolution module, of the dims and the layer; None for none.
        residual: Makes what joins a branch to the stream, norms before the branches.

    Raises:
        ValueError: If the residual wants norms after the sums, or branches side by side.
    """

    layout = ConformerBlock

    def __init__(
        self,
        dims: Dims,
        layer: int,
        convolution: Callable[[Dims, int], Convolution] | None = Convolution,
        residual: ResidualFactory = Plain,
    ) -> None:
        super().__init__(dims, layer)
        self.convolution = convolution
        self.inner: Residual = made(self, "residual", residual, Residual, dims, layer)
        if not self.inner.pre_norm or self.inner.parallel or self.inner.reversible:
            raise ValueError(
                f"Conformer: residual={type(self.inner).__name__}: its branches follow each other, "
                "each behind a norm: leave pre_norm and parallel out, or choose another residual"
            )
        self.drop_path = self.inner.drop_path
        self.embedding_norm = self.inner.embedding_norm

    def join(self, x: Tensor, branch: Tensor) -> Tensor:
        return self.inner.join(x, branch)

    def initialise(self, branch: Part, std: float) -> None:
        self.inner.initialise(branch, std)
