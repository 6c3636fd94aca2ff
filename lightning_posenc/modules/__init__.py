"""What is learned: LightningModules around the encoder."""

from lightning_posenc.modules.base import EncoderModule
from lightning_posenc.modules.classifiers import Classifier, SequenceClassifier, TokenClassifier
from lightning_posenc.modules.decoding import greedy
from lightning_posenc.modules.exact_match import ExactMatch
from lightning_posenc.modules.heads import HeadTransform
from lightning_posenc.modules.language_model import LanguageModel
from lightning_posenc.modules.optim import GroupWarmup, WarmupCosine, parameter_groups

__all__ = [
    "Classifier",
    "EncoderModule",
    "ExactMatch",
    "GroupWarmup",
    "HeadTransform",
    "LanguageModel",
    "SequenceClassifier",
    "TokenClassifier",
    "WarmupCosine",
    "greedy",
    "parameter_groups",
]
