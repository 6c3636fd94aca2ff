"""How do tokens exchange what they know? One mixer a file."""

from lightning_posenc.model.mixers.attention import Attention
from lightning_posenc.model.mixers.base import Context, Mixer, MixerFactory

__all__ = ["Attention", "Context", "Mixer", "MixerFactory"]
