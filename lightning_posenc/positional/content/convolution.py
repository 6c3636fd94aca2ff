"""Short convolutions over tokens."""

import torch
from torch import Tensor
from torch.nn import functional as F


def short_convolution(x: Tensor, weight: Tensor, documents: Tensor | None = None) -> Tensor:
    """Mix each channel of a token with those of the few tokens before it in its document.

    Args:
        x: (B, S, C).
        weight: (C, W), the token's own weight last.
        documents: (B, S) id of the document of each token; None if each sequence is one.

    Returns:
        (B, S, C).
    """
    length, size = x.shape[1], weight.shape[1]
    mixed = x * weight[:, -1]
    for back in range(1, min(size, length)):
        earlier = x[:, :-back]
        if documents is not None:
            same = documents[:, back:] == documents[:, :-back]
            earlier = torch.where(same.unsqueeze(-1), earlier, 0)
        mixed = mixed + F.pad(earlier * weight[:, -1 - back], (0, 0, back, 0))
    return mixed


def on_both_sides(x: Tensor, weight: Tensor, documents: Tensor | None = None) -> Tensor:
    """Mix each channel of a token with those of as many tokens of its document on either side.

    Args:
        x: (B, T, C).
        weight: (C, W), W odd, the token's own weight in the middle.
        documents: (B, T) id of the document of each token; None if each sequence is one.

    Returns:
        (B, T, C).
    """
    half = weight.shape[1] // 2
    if documents is None:
        return F.conv1d(x.mT, weight.unsqueeze(1), padding=half, groups=len(weight)).mT
    before = short_convolution(x, weight[:, : half + 1], documents)
    after = F.pad(weight[:, half + 1 :].flip(1), (0, 1))  # the token's own was counted before
    return before + short_convolution(x.flip(1), after, documents.flip(1)).flip(1)
