"""Predict the next token, or the hidden ones.

Shapes: B sequences, T tokens, V = vocab_size.
"""

from collections.abc import Callable
from typing import Any, Literal, cast

from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import Metric

from lightning_posenc.checks import number, one_of, whole
from lightning_posenc.data.batch import Batch
from lightning_posenc.model.encoder import EncoderSpec
from lightning_posenc.model.inputs import TokenEmbedding
from lightning_posenc.modules.base import EncoderModule
from lightning_posenc.modules.called import as_batch
from lightning_posenc.modules.heads import Bias, made_transform, new_head, tied_scale
from lightning_posenc.modules.hiding import hide
from lightning_posenc.modules.language_metrics import language_metrics, with_perplexity
from lightning_posenc.modules.loss import cross_entropy


class LanguageModel(EncoderModule):
    """A language model over V tokens.

    Causal: token t + 1 from tokens up to t. Masked: a share of the tokens is hidden behind a mask
    symbol of the model's own (id V) and predicted from both sides (Devlin et al. 2019,
    arXiv:1810.04805; deviation: all chosen tokens are masked, none kept or swapped). What is hidden
    is drawn anew for every training step. In evaluation it depends on the length and on the number
    of the sequence in its dataset alone, not on batches or ranks.

    Args:
        encoder: Sizes and wiring of the encoder.
        vocab_size: V.
        objective: "causal" or "masked".
        mask_share: Share of the tokens that is hidden, in (0, 1).
        tie_weights: Whether the head is the token embedding (Press and Wolf 2017,
            arXiv:1608.05859), scaled so that logits start as small as those of a head of its own.
        head_bias: Whether the head adds a learned number for each token.
        transform: Makes what the states go through before the head, of the width; `HeadTransform`
            with torch.nn.LayerNorm is BERT's. None for nothing.
        kwargs: Arguments of `EncoderModule`, but `causal`, which the objective decides.
    """

    def __init__(
        self,
        encoder: EncoderSpec,
        vocab_size: int,
        objective: Literal["causal", "masked"] = "causal",
        mask_share: float = 0.15,
        tie_weights: bool = True,
        head_bias: bool = False,
        transform: Callable[[int], nn.Module] | None = None,
        **kwargs: Any,
    ) -> None:
        one_of(self, "objective", objective, ("causal", "masked"))
        masked = objective == "masked"
        number(self, "mask_share", mask_share, above=0, below=1)
        whole(self, "vocab_size", vocab_size)
        super().__init__(encoder, vocab_size + masked, causal=not masked, **kwargs)
        reads_ids = isinstance(self.embedding, TokenEmbedding)
        if not reads_ids and (masked or tie_weights):
            wants = "objective=masked hides" if masked else "tie_weights=true needs the vectors of"
            raise ValueError(
                f"LanguageModel: {wants} token ids, which {type(self.embedding).__name__} does not "
                "take: set objective=causal and tie_weights=false"
            )
        self.vocab_size = vocab_size
        self.objective = objective
        self.mask_share = mask_share
        d_model = self.encoder.dims.d_model
        self.transform = made_transform(self, transform, d_model)
        self.head: nn.Linear | None = None
        if not tie_weights:
            self.head = new_head(d_model, vocab_size, head_bias)
        self.head_bias = Bias(vocab_size) if tie_weights and head_bias else nn.Identity()

    def forward(self, batch: Batch | Tensor) -> Tensor:
        """`logits` of a batch, or of token ids (B, T) without padding."""
        return self.logits(as_batch(self, batch))

    def logits(self, batch: Batch) -> Tensor:
        """(B, T, V)."""
        return self._logits(batch.tokens, batch)

    def score(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor, Tensor]:
        tokens, targets = batch.tokens, batch.targets
        if self.objective == "masked":
            tokens, targets = self._hide(batch, batch_idx)
        logits = self._logits(tokens, batch)
        return cross_entropy(logits, targets, self.smoothing), logits, targets

    def new_metrics(self) -> dict[str, Metric]:
        masked = self.objective == "masked"
        return language_metrics(self.vocab_size, self.datamodule, masked)

    def with_derived(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        return with_perplexity(values)

    @property
    def tied_scale(self) -> float:
        """Factor on the states before a head that is the token embedding."""
        return tied_scale(cast(TokenEmbedding, self.embedding))

    def scores(self, states: Tensor) -> Tensor:
        """Map (…, D) to (…, V)."""
        states = self.transform(states)
        if self.head is not None:
            return self.head(states)
        weight = cast(TokenEmbedding, self.embedding).weight[: self.vocab_size]
        return self.head_bias(F.linear(states * self.tied_scale, weight))

    def _logits(self, tokens: Tensor, batch: Batch) -> Tensor:
        return self.scores(self.encode(tokens, batch))

    def _hide(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor]:
        return hide(batch, batch_idx, self.mask_share, self.vocab_size, self.training)
