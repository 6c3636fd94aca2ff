"""What is learned: LightningModules around the encoder."""

from lightning_posenc.modules.base import EncoderModule
from lightning_posenc.modules.classifiers import Classifier, SequenceClassifier, TokenClassifier
from lightning_posenc.modules.language_model import LanguageModel
from lightning_posenc.modules.optim import WarmupCosine, parameter_groups

__all__ = [
    "Classifier",
    "EncoderModule",
    "LanguageModel",
    "SequenceClassifier",
    "TokenClassifier",
    "WarmupCosine",
    "parameter_groups",
]
