"""How do tokens exchange what they know? One mixer a file."""

from lightning_posenc.model.mixers.additive import Additive
from lightning_posenc.model.mixers.attention import Attention
from lightning_posenc.model.mixers.base import Context, Growth, Mixer, MixerFactory
from lightning_posenc.model.mixers.fnet import FNet
from lightning_posenc.model.mixers.gated_attention import GatedAttention
from lightning_posenc.model.mixers.latent_attention import LatentAttention
from lightning_posenc.model.mixers.linear_attention import LinearAttention
from lightning_posenc.model.mixers.linformer import Linformer
from lightning_posenc.model.mixers.mamba2 import Mamba2
from lightning_posenc.model.mixers.nystromformer import Nystromformer
from lightning_posenc.model.mixers.performer import Performer
from lightning_posenc.model.mixers.reformer import Reformer, ReformerAcrossBuckets
from lightning_posenc.model.mixers.retention import Retention
from lightning_posenc.model.mixers.spatial_reduction import SpatialReductionAttention
from lightning_posenc.model.mixers.synthesizer import (
    DenseSynthesizer,
    FactorizedDenseSynthesizer,
    FactorizedRandomSynthesizer,
    RandomSynthesizer,
    Synthesizer,
)

__all__ = [
    "Additive",
    "Attention",
    "Context",
    "DenseSynthesizer",
    "FNet",
    "FactorizedDenseSynthesizer",
    "FactorizedRandomSynthesizer",
    "GatedAttention",
    "Growth",
    "LatentAttention",
    "LinearAttention",
    "Linformer",
    "Mamba2",
    "Mixer",
    "MixerFactory",
    "Nystromformer",
    "Performer",
    "RandomSynthesizer",
    "Reformer",
    "ReformerAcrossBuckets",
    "Retention",
    "SpatialReductionAttention",
    "Synthesizer",
]
