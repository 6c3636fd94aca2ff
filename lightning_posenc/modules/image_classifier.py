"""Classify images.

Shapes: B images, T tokens, D = d_model, C = n_classes.
"""

from typing import Any, Literal

from torch import Tensor

from lightning_posenc.checks import one_of
from lightning_posenc.data.batch import Batch
from lightning_posenc.model.encoder import EncoderSpec
from lightning_posenc.model.inputs import InputsFactory, Patches
from lightning_posenc.modules.classifiers import Classifier


class ImageClassifier(Classifier):
    """One class for an image, which is read as patches.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929, section 3.1 (the class token) and appendix
    D.3 (the mean over all patches).

    Args:
        encoder: Sizes and wiring of the encoder.
        vocab_size: Nothing: pixels have no ids.
        n_classes: C.
        inputs: Makes what cuts images into tokens: `Patches`, or a subclass.
        pooling: What of the encoded image the head sees: its first "class" token, or the "mean"
            over its patches, class tokens left out.
        kwargs: Arguments of `EncoderModule`.

    Raises:
        ValueError: If the inputs are no patches, or have no class token to be looked at.
    """

    def __init__(
        self,
        encoder: EncoderSpec,
        vocab_size: int | None,
        n_classes: int,
        *,
        inputs: InputsFactory = Patches,
        pooling: Literal["class", "mean"] = "class",
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder, None, n_classes, inputs=inputs, **kwargs)
        self.pooling = one_of(self, "pooling", pooling, ("class", "mean"))
        if not isinstance(self.embedding, Patches):
            raise ValueError(
                f"ImageClassifier: inputs make {type(self.embedding).__name__}, and images are "
                "read as patches: give Patches"
            )
        self.n_class_tokens = self.embedding.n_class_tokens + self.encoder.n_class_tokens
        if pooling == "class" and not self.n_class_tokens:
            raise ValueError(
                "ImageClassifier: pooling=class reads a class token, and inputs.n_class_tokens=0: "
                "set pooling=mean"
            )

    def logits(self, batch: Batch) -> Tensor:
        """(B, C)."""
        h = self.encode(batch.tokens, batch)
        if self.pooling == "class":
            return self.scores(h[:, 0])
        return self.scores(h[:, self.n_class_tokens :].mean(dim=1))
