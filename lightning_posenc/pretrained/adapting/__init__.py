"""Train what was pretrained: adapters, parts, all of it."""

from lightning_posenc.pretrained.adapting.language_model import PretrainedLanguageModel
from lightning_posenc.pretrained.adapting.lora import LoRA

__all__ = ["LoRA", "PretrainedLanguageModel"]
