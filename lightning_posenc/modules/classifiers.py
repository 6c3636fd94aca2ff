"""Classify whole sequences, or every token.

Shapes: B sequences, T tokens, D = d_model, C = n_classes.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassStatScores

from lightning_posenc.checks import one_of, whole
from lightning_posenc.data.batch import Batch
from lightning_posenc.model.encoder import EncoderSpec
from lightning_posenc.modules.base import EncoderModule
from lightning_posenc.modules.calibration import ECE, Calibration
from lightning_posenc.modules.called import as_batch
from lightning_posenc.modules.class_scores import COUNTS, class_scores
from lightning_posenc.modules.class_weights import ClassWeights
from lightning_posenc.modules.entity_f1 import EntityF1, are_entities
from lightning_posenc.modules.exact_match import ExactMatch
from lightning_posenc.modules.heads import made_transform, new_head
from lightning_posenc.modules.loss import cross_entropy
from lightning_posenc.tasks import IGNORE


class Predicted(NamedTuple):
    """Classes and how sure the model is of them.

    Args:
        classes: (B,) or (B, T) int64, the most probable ones.
        probabilities: (B, C), those of all classes; or (B, T), those of the tokens' classes.
    """

    classes: Tensor
    probabilities: Tensor


class Classifier(EncoderModule):
    """An encoder with a linear head over C classes and cross entropy.

    Args:
        encoder: Sizes and wiring of the encoder.
        vocab_size: Number of token ids; None where the data has none.
        n_classes: C, at least 1.
        head_bias: Whether the head adds a learned number for each class.
        transform: Makes what the states go through before the head, of the width; `HeadTransform`
            with torch.nn.Tanh is BERT's "pooler". None for nothing.
        class_weights: What an example of each class counts in the loss of training: C numbers from
            0, or "balanced", which makes classes count alike, however common they are. None for 1.
        kwargs: Arguments of `EncoderModule`.
    """

    def __init__(
        self,
        encoder: EncoderSpec,
        vocab_size: int | None,
        n_classes: int,
        *,
        head_bias: bool = True,
        transform: Callable[[int], nn.Module] | None = None,
        class_weights: Literal["balanced"] | list[float] | None = None,
        **kwargs: Any,
    ) -> None:
        if not n_classes:
            raise ValueError(
                f"{type(self).__name__}: n_classes={n_classes}: the data has no classes; choose "
                "data that has, or a LanguageModel"
            )
        whole(self, "n_classes", n_classes)
        super().__init__(encoder, vocab_size, **kwargs)
        self.n_classes = n_classes
        self.with_probabilities = False  # `Predictions` asks for them
        self.of_scores = frozenset({ECE})
        self.class_weights = ClassWeights(class_weights, n_classes)
        d_model = self.encoder.out_dims.d_model
        self.transform = made_transform(self, transform, d_model)
        self.head = new_head(d_model, n_classes, head_bias)

    def forward(self, batch: Batch | Tensor) -> Tensor:
        """`logits` of a batch, or of token ids (B, T) without padding."""
        return self.logits(as_batch(self, batch))

    @abstractmethod
    def logits(self, batch: Batch) -> Tensor: ...

    def scores(self, states: Tensor) -> Tensor:
        """Map (…, D) to (…, C)."""
        return self.head(self.transform(states))

    def score(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor, Tensor]:
        logits = self.logits(batch)
        if logits.shape[:-1] != batch.targets.shape:
            raise ValueError(self._misfit(logits, batch.targets))
        weights = self.class_weights.on(logits.device) if self.training else None
        loss = cross_entropy(logits, batch.targets, self.smoothing, weights)
        return loss, logits, batch.targets

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit":
            self.class_weights.count(self.datamodule)

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Predicted classes, (B,) or (B, T); where `with_probabilities` is set, `Predicted`."""
        if not self.with_probabilities:
            return super().predict_step(batch, batch_idx, dataloader_idx)
        shares = self.logits(batch).float().softmax(dim=-1)
        best, classes = shares.max(dim=-1)
        return Predicted(classes, shares if classes.dim() == 1 else best)

    def _misfit(self, logits: Tensor, targets: Tensor) -> str:
        kinds = {1: ("sequence", SequenceClassifier), 2: ("token", TokenClassifier)}
        if logits.dim() - 1 == targets.dim() or targets.dim() not in kinds:
            return f"the data has targets {tuple(targets.shape)} for {tuple(logits.shape)} scores"
        ours, (theirs, wanted) = kinds[logits.dim() - 1][0], kinds[targets.dim()]
        return (
            f"{type(self).__name__} gives a class to every {ours}, but the data has one for every "
            f"{theirs}: choose --model={wanted.__name__}"
        )

    def new_metrics(self) -> dict[str, Metric]:
        """Accuracy, and the counts that `class_scores` are made of; where classes have names, the
        calibration too.
        """
        named = self.n_classes > 1 and getattr(self.datamodule, "class_names", None)
        return {
            **({ECE: Calibration(self.n_classes)} if named else {}),
            "acc": MulticlassAccuracy(self.n_classes, average="micro", ignore_index=IGNORE),
            COUNTS: MulticlassStatScores(self.n_classes, average=None, ignore_index=IGNORE),
        }

    def with_derived(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Replace the counts by `class_scores`."""
        others = {name: value for name, value in values.items() if name != COUNTS}
        return others | class_scores(values[COUNTS])


class SequenceClassifier(Classifier):
    """One class for a sequence.

    Args:
        encoder: Sizes and wiring of the encoder.
        vocab_size: Number of token ids; None where the data has none.
        n_classes: C.
        pooling: What of the encoded sequence the head sees: the mean over its tokens, the first,
            or the last token (the one to take for a causal model).
        kwargs: Arguments of `EncoderModule`.
    """

    def __init__(
        self,
        encoder: EncoderSpec,
        vocab_size: int | None,
        n_classes: int,
        pooling: Literal["mean", "first", "last"] = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder, vocab_size, n_classes, **kwargs)
        one_of(self, "pooling", pooling, ("mean", "first", "last"))
        self.pooling = pooling

    def logits(self, batch: Batch) -> Tensor:
        """(B, C)."""
        h = self.encode(batch.tokens, batch)
        n_tokens = h.shape[1]
        ends = self.token_lengths(batch)
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
        return self.scores(torch.einsum("bt,btd->bd", share, h))


class TokenClassifier(Classifier):
    """One class for every token; targets of -100 are not scored.

    Args:
        encoder: Sizes and wiring of the encoder.
        vocab_size: Number of token ids; None where the data has none.
        n_classes: C.
        kwargs: Arguments of `EncoderModule`.
    """

    def logits(self, batch: Batch) -> Tensor:
        """(B, T, C)."""
        return self.scores(self.encode(batch.tokens, batch))

    def new_metrics(self) -> dict[str, Metric]:
        """Accuracy of tokens, and the share of sequences whose every scored token is right; the F1
        of entities too, if the data's classes are tags such as B-PER.
        """
        found = {**super().new_metrics(), "exact": ExactMatch()}
        names = getattr(self.datamodule, "class_names", None)
        return found | ({"entity_f1": EntityF1(names)} if are_entities(names) else {})
