"""The weights of a mixer that computes none: shown to who watches.

Shapes: B sequences, H heads, T queries, t of them at a time, S keys, M features.
"""

from torch import Tensor, nn

from lightning_posenc.model.kernels.operands import Operands


class TellsWeights(nn.Module):
    """Shows by which weights a mixer mixes, as operands that nobody has to compute with.

    A forward hook on it sees them, as one on `Kernels` sees those of attention: measurements of
    weights then serve, some rows at a time.
    """

    def forward(self, operands: Operands) -> Operands:
        """Give the operands back."""
        return operands


def log_products(q: Tensor, k: Tensor) -> Tensor:
    """ln(q·k) of features, none of them negative, whose softmax is q·k / Σ q·k.

    Args:
        q: (B, H, t, M).
        k: (B, H, S, M).

    Returns:
        (B, H, t, S).
    """
    return (q @ k.mT).log()
