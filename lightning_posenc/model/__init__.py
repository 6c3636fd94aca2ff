"""How is it computed? Inputs, mixers, kernels, feed-forward, residual, block, encoder."""

from lightning_posenc.dims import Dims
from lightning_posenc.model.block import Block
from lightning_posenc.model.encoder import Encoder, EncoderSpec
from lightning_posenc.model.feed_forward import MLP, FeedForward, SwiGLU
from lightning_posenc.model.inputs import Inputs, Patches, TokenEmbedding
from lightning_posenc.model.kernels import SDPA, Eager, Flex, Kernel
from lightning_posenc.model.mixers import Attention, Mixer
from lightning_posenc.model.residual import DeepNorm, LayerScale, Plain, Residual, ReZero

__all__ = [
    "MLP",
    "SDPA",
    "Attention",
    "Block",
    "DeepNorm",
    "Dims",
    "Eager",
    "Encoder",
    "EncoderSpec",
    "FeedForward",
    "Flex",
    "Inputs",
    "Kernel",
    "LayerScale",
    "Mixer",
    "Patches",
    "Plain",
    "ReZero",
    "Residual",
    "SwiGLU",
    "TokenEmbedding",
]
