"""Texts of numbers as tokens."""

import torch
from torch import Tensor

DIGITS = "0123456789"
SYMBOLS = DIGITS + "+= "


def ids(*texts: str) -> Tensor:
    """Tokens (B, T): a digit is its own id, '+' is 10, '=' 11, a blank 12."""
    return torch.tensor([[SYMBOLS.index(symbol) for symbol in text] for text in texts])
