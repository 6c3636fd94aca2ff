"""What every kernel is, and which of several serves.

A kernel is a submodule of its attention, so that a forward hook on it sees the operands.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.autograd.forward_ad import unpack_dual

from lightning_posenc.checks import is_a, number
from lightning_posenc.model.kernels.operands import Operands


class Kernel(nn.Module, ABC):
    """Computes the attention of those operands that it serves.

    Args:
        dropout: Probability of dropping an attention weight in training, in [0, 1).
    """

    otherwise: ClassVar[type["Kernel"] | None] = None
    """What takes the operands that this one does not serve."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = number(self, "dropout", dropout, 0, below=1)

    def serves(self, operands: Operands) -> bool:
        """Whether this kernel computes what these operands ask for: all of it, and exactly."""
        return True

    def materialises(self, operands: Operands) -> bool:
        """Whether matrices (B, H, T, S) are kept for the backward pass."""
        return False

    @abstractmethod
    def forward(self, operands: Operands) -> Tensor:
        """Attend: (B, H, T, V) in the dtype of q."""

    @property
    def drops(self) -> bool:
        """Whether weights are dropped at the moment."""
        return self.training and self.dropout > 0


class Kernels(nn.Module):
    """Attends by the first kernel that serves: the one asked for, then what it names `otherwise`.

    Args:
        first: The kernel asked for.
    """

    def __init__(self, first: Kernel) -> None:
        super().__init__()
        self.tried = nn.ModuleList([is_a(self, "first", first, Kernel)])
        kind = first.otherwise
        while kind is not None:
            self.tried.append(kind(first.dropout))
            kind = kind.otherwise

    def serving(self, operands: Operands) -> Kernel:
        """The kernel that takes these operands.

        Raises:
            ValueError: If none does.
        """
        kernel: Kernel
        for kernel in self.tried:  # type: ignore[assignment]
            if kernel.serves(operands):
                return kernel
        names = ", ".join(type(kernel).__name__ for kernel in self.tried)
        raise ValueError(f"no kernel serves these operands: {names}; take Eager, which serves all")

    def forward(self, operands: Operands) -> Tensor:
        """Attend: (B, H, T, V) in the dtype of q."""
        return self.serving(operands)(operands)


def has_tangent(operands: Operands) -> bool:
    """Whether forward-mode differentiation passes through: no fused kernel of torch's has it."""
    if torch.compiler.is_compiling() or torch.is_inference_mode_enabled():
        return False
    tensors = (operands.q, operands.k, operands.v, operands.bias)
    return any(isinstance(x, Tensor) and unpack_dual(x).tangent is not None for x in tensors)
