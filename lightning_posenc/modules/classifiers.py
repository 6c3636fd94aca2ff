"""Classify whole sequences, or every token.

Shapes: B sequences, T tokens, D = d_model, C = n_classes.
"""

from abc import abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

from lightning_posenc.data.batch import Batch
from lightning_posenc.model.encoder import EncoderSpec
from lightning_posenc.modules.base import HEAD_STD, EncoderModule
from lightning_posenc.modules.exact_match import ExactMatch
from lightning_posenc.modules.loss import cross_entropy
from lightning_posenc.tasks import IGNORE


class Classifier(EncoderModule):
    """An encoder with a linear head over C classes and cross entropy.

    Args:
        encoder: Sizes and wiring of the encoder.
        vocab_size: Number of token ids.
        n_classes: C.
        kwargs: Arguments of `EncoderModule`.
    """

    def __init__(
        self, encoder: EncoderSpec, vocab_size: int, n_classes: int, **kwargs: Any
    ) -> None:
        if not n_classes or n_classes < 1:
            raise ValueError(
                f"{type(self).__name__}: n_classes={n_classes}: the data has no classes; choose "
                "data that has, or a LanguageModel"
            )
        super().__init__(encoder, vocab_size, **kwargs)
        self.n_classes = n_classes
        self.head = nn.Linear(self.encoder.dims.d_model, n_classes)
        nn.init.normal_(self.head.weight, std=HEAD_STD)
        nn.init.zeros_(self.head.bias)

    @abstractmethod
    def logits(self, batch: Batch) -> Tensor: ...

    def score(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor, Tensor]:
        logits = self.logits(batch)
        return cross_entropy(logits, batch.targets), logits, batch.targets

    def new_metrics(self) -> dict[str, Metric]:
        return {"acc": MulticlassAccuracy(self.n_classes, average="micro", ignore_index=IGNORE)}


class SequenceClassifier(Classifier):
    """One class for a sequence.

    Args:
        encoder: Sizes and wiring of the encoder.
        vocab_size: Number of token ids.
        n_classes: C.
        pooling: What of the encoded sequence the head sees: the mean over its tokens, the first,
            or the last token (the one to take for a causal model).
        kwargs: Arguments of `EncoderModule`.
    """

    def __init__(
        self,
        encoder: EncoderSpec,
        vocab_size: int,
        n_classes: int,
        pooling: Literal["mean", "first", "last"] = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder, vocab_size, n_classes, **kwargs)
        self.pooling = pooling

    def logits(self, batch: Batch) -> Tensor:
        """(B, C)."""
        h = self.encode(batch.tokens, batch)
        n_tokens = h.shape[1]
        ends = batch.lengths
        if ends is None:
            ends = torch.full((len(h),), n_tokens, device=h.device)
        index = torch.arange(n_tokens, device=h.device)
        chosen = {  # (B, T): the tokens that are averaged
            "mean": index < ends[:, None],
            "first": (index == 0).expand(len(h), -1),
            "last": index == ends[:, None] - 1,
        }[self.pooling]
        n_chosen = chosen.sum(dim=1, keepdim=True).clamp(min=1)
        share = (chosen.float() / n_chosen).to(h.dtype)
        return self.head(torch.einsum("bt,btd->bd", share, h))


class TokenClassifier(Classifier):
    """One class for every token; targets of -100 are not scored.

    Args:
        encoder: Sizes and wiring of the encoder.
        vocab_size: Number of token ids.
        n_classes: C.
        kwargs: Arguments of `EncoderModule`.
    """

    def logits(self, batch: Batch) -> Tensor:
        """(B, T, C)."""
        return self.scores(self.encode(batch.tokens, batch))

    def scores(self, states: Tensor) -> Tensor:
        """Map (…, D) to (…, C)."""
        return self.head(states)

    def new_metrics(self) -> dict[str, Metric]:
        """Accuracy of tokens, and the share of sequences whose every scored token is right."""
        return {**super().new_metrics(), "exact": ExactMatch()}
