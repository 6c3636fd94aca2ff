"""How is it computed? Inputs, mixers, kernels, feed-forward, residual, block, encoder."""

from lightning_posenc.dims import Dims
from lightning_posenc.model.block import Block
from lightning_posenc.model.canon import Canon
from lightning_posenc.model.conformer import Conformer
from lightning_posenc.model.convolution import Convolution
from lightning_posenc.model.decoder import Decoder
from lightning_posenc.model.encoder import Encoder, EncoderSpec
from lightning_posenc.model.encoder_decoder import EncoderDecoder
from lightning_posenc.model.feed_forward import (
    MLP,
    FeedForward,
    MixtureOfExperts,
    NoisyTopKRouter,
    Router,
    SwiGLU,
    SwitchRouter,
    TopKRouter,
)
from lightning_posenc.model.funnel import Funnel
from lightning_posenc.model.inputs import Frames, Inputs, Patches, ScaledEmbedding, TokenEmbedding
from lightning_posenc.model.kernels import SDPA, Eager, Flex, Kernel
from lightning_posenc.model.memory import CrossReading, Memory
from lightning_posenc.model.merging import Merging, PatchConvolution, PatchMerging
from lightning_posenc.model.mixers import (
    Additive,
    Attention,
    DenseSynthesizer,
    FactorizedDenseSynthesizer,
    FactorizedRandomSynthesizer,
    FNet,
    GatedAttention,
    LatentAttention,
    LinearAttention,
    Linformer,
    Mamba2,
    Mixer,
    Nystromformer,
    Performer,
    RandomSynthesizer,
    Reformer,
    ReformerAcrossBuckets,
    Retention,
    SpatialReductionAttention,
)
from lightning_posenc.model.residual import DeepNorm, LayerScale, Plain, Residual, ReZero
from lightning_posenc.model.reversible import Reversible
from lightning_posenc.model.rms_norm import RMSNorm
from lightning_posenc.model.scale_norm import ScaleNorm
from lightning_posenc.model.stage import Stage
from lightning_posenc.model.stages import StagedEncoder
from lightning_posenc.model.windows import ShiftedWindows

__all__ = [
    "MLP",
    "SDPA",
    "Additive",
    "Attention",
    "Block",
    "Canon",
    "Conformer",
    "Convolution",
    "CrossReading",
    "Decoder",
    "DeepNorm",
    "DenseSynthesizer",
    "Dims",
    "Eager",
    "Encoder",
    "EncoderDecoder",
    "EncoderSpec",
    "FNet",
    "FactorizedDenseSynthesizer",
    "FactorizedRandomSynthesizer",
    "FeedForward",
    "Flex",
    "Frames",
    "Funnel",
    "GatedAttention",
    "Inputs",
    "Kernel",
    "LatentAttention",
    "LayerScale",
    "LinearAttention",
    "Linformer",
    "Mamba2",
    "Memory",
    "Merging",
    "Mixer",
    "MixtureOfExperts",
    "NoisyTopKRouter",
    "Nystromformer",
    "PatchConvolution",
    "PatchMerging",
    "Patches",
    "Performer",
    "Plain",
    "RMSNorm",
    "RandomSynthesizer",
    "ReZero",
    "Reformer",
    "ReformerAcrossBuckets",
    "Residual",
    "Retention",
    "Reversible",
    "Router",
    "ScaleNorm",
    "ScaledEmbedding",
    "ShiftedWindows",
    "SpatialReductionAttention",
    "Stage",
    "StagedEncoder",
    "SwiGLU",
    "SwitchRouter",
    "TokenEmbedding",
    "TopKRouter",
]
