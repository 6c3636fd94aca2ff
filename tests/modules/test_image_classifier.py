"""One class for an image."""

from functools import partial

import pytest
import torch

from lightning_posenc.data import Batch
from lightning_posenc.model import EncoderSpec, Patches, TokenEmbedding
from lightning_posenc.modules import ImageClassifier, SequenceClassifier
from lightning_posenc.positional import AxialRoPE

SPEC = EncoderSpec(16, 2, 1)


def classifier(kind=ImageClassifier, n_class_tokens=1, **options):
    torch.manual_seed(0)
    inputs = partial(Patches, patch_size=2, n_channels=1, n_class_tokens=n_class_tokens)
    return kind(SPEC, None, 3, inputs=inputs, positional=AxialRoPE, **options).eval()


def test_the_head_sees_the_class_token_or_the_mean_of_patches():
    batch = Batch(torch.randn(2, 1, 4, 6), torch.tensor([0, 2]))
    whole = classifier(SequenceClassifier, pooling="first")
    torch.testing.assert_close(classifier()(batch), whole(batch))
    states = whole.encode(batch.tokens, batch)
    torch.testing.assert_close(
        classifier(pooling="mean")(batch), whole.scores(states[:, 1:].mean(dim=1))
    )
    bare = {"n_class_tokens": 0, "pooling": "mean"}
    torch.testing.assert_close(
        classifier(**bare)(batch), classifier(SequenceClassifier, **bare)(batch)
    )


def test_what_it_cannot_read_is_refused():
    with pytest.raises(ValueError, match="pooling=class reads a class token, and inputs"):
        classifier(n_class_tokens=0)
    with pytest.raises(ValueError, match="ImageClassifier: inputs make TokenEmbedding"):
        ImageClassifier(SPEC, 5, 3, inputs=lambda dims, _: TokenEmbedding(dims, 5))
    with pytest.raises(ValueError, match="ImageClassifier: pooling='first' must be"):
        classifier(pooling="first")
    with pytest.raises(ValueError, match="of n_channels=1"):
        classifier()(Batch(torch.zeros(1, 3, 4, 4), torch.zeros(1, dtype=torch.long)))
