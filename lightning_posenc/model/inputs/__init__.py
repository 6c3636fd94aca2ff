"""What becomes of a batch's inputs before the first block? One kind of input a file."""

from lightning_posenc.model.inputs.base import Inputs, InputsFactory
from lightning_posenc.model.inputs.frames import Frames
from lightning_posenc.model.inputs.patches import Patches
from lightning_posenc.model.inputs.scaled_embedding import ScaledEmbedding
from lightning_posenc.model.inputs.token_embedding import TokenEmbedding

__all__ = ["Frames", "Inputs", "InputsFactory", "Patches", "ScaledEmbedding", "TokenEmbedding"]
