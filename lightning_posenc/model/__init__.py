"""How is it computed? Kernels, attention, feed-forward, block, encoder."""

from lightning_posenc.dims import Dims
from lightning_posenc.model.attention import Attention
from lightning_posenc.model.block import Block
from lightning_posenc.model.encoder import Encoder, EncoderSpec
from lightning_posenc.model.feed_forward import MLP, FeedForward, SwiGLU
from lightning_posenc.model.kernels import SDPA, Eager, Flex, Kernel

__all__ = [
    "MLP",
    "SDPA",
    "Attention",
    "Block",
    "Dims",
    "Eager",
    "Encoder",
    "EncoderSpec",
    "FeedForward",
    "Flex",
    "Kernel",
    "SwiGLU",
]
