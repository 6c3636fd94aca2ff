"""What is learned: LightningModules around the encoder."""

from lightning_posenc.modules.base import EncoderModule
from lightning_posenc.modules.classifiers import Classifier, SequenceClassifier, TokenClassifier
from lightning_posenc.modules.ctc import CTCModel
from lightning_posenc.modules.decoding import greedy, sample, stream
from lightning_posenc.modules.exact_match import ExactMatch
from lightning_posenc.modules.heads import HeadTransform
from lightning_posenc.modules.image_classifier import ImageClassifier
from lightning_posenc.modules.language_model import LanguageModel
from lightning_posenc.modules.optim import (
    GroupWarmup,
    WarmupCosine,
    WarmupInverseSqrt,
    parameter_groups,
)
from lightning_posenc.modules.sampling import Sampling
from lightning_posenc.modules.sequence_to_sequence import SequenceToSequence

__all__ = [
    "CTCModel",
    "Classifier",
    "EncoderModule",
    "ExactMatch",
    "GroupWarmup",
    "HeadTransform",
    "ImageClassifier",
    "LanguageModel",
    "Sampling",
    "SequenceClassifier",
    "SequenceToSequence",
    "TokenClassifier",
    "WarmupCosine",
    "WarmupInverseSqrt",
    "greedy",
    "parameter_groups",
    "sample",
    "stream",
]
