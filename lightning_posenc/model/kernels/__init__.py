"""How is attention computed? One definition, several executions.

`logits` says what attention is; `Eager` materialises it and is the oracle; `SDPA` is the default;
`Flex` runs FlexAttention on CUDA. Each says which operands it serves, and attention takes the first
that does: what the positional hooks returned decides.
"""

from lightning_posenc.model.kernels.base import Kernel, Kernels
from lightning_posenc.model.kernels.by_rows import read_weights
from lightning_posenc.model.kernels.eager import Eager
from lightning_posenc.model.kernels.flex import Flex
from lightning_posenc.model.kernels.operands import Operands, attention_weights, logits
from lightning_posenc.model.kernels.sdpa import SDPA
from lightning_posenc.model.kernels.tells_weights import TellsWeights

__all__ = [
    "SDPA",
    "Eager",
    "Flex",
    "Kernel",
    "Kernels",
    "Operands",
    "TellsWeights",
    "attention_weights",
    "logits",
    "read_weights",
]
