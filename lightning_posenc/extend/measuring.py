"""What is measured of one method on one text.

Shapes: N sequences, T tokens each.
"""

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lightning_posenc.extend.peak_memory import PeakMemory
from lightning_posenc.pretrained.evaluating.losses import losses

if TYPE_CHECKING:
    from lightning_posenc.extend.contenders import Ready

BLOCK = 128  # tokens, about: what the bootstrap draws; long enough to hardly depend on another
POINTS = 128  # of a curve over positions


def losses_by_length(ready: "Ready", tokens: Tensor, lengths: Sequence[int]) -> dict[int, Tensor]:
    """Loss of every token, of the first tokens of each sequence, at every length.

    What a causal model does at a place depends on nothing that comes after: the losses of a shorter
    text are the first ones of a longer text's, and one forward gives all. A method that reads the
    whole length (dynamic NTK, say), and a masked model, run once for each.

    Args:
        ready: A causal or a masked language model, and its method, which serves the longest length.
        tokens: (N, T) ids.
        lengths: In [2, T].

    Returns:
        By length n, nats: causal (N, n - 1), at i the loss of token i + 1; masked (N, n), NaN where
        no token was masked.
    """
    with ready.method.applied(ready.pretrained, max(lengths)):
        if ready.by_length:
            return {n: losses(ready.pretrained, tokens[:, :n]) for n in lengths}
        whole = losses(ready.pretrained, tokens[:, : max(lengths)])
        return {n: whole[:, : n - 1] for n in lengths}


def text_record(
    ready: "Ready", tokens: Tensor, lengths: Sequence[int], last: int
) -> dict[str, Any]:
    """Measure losses, time and memory, as a record keeps them.

    Args:
        ready: A causal or a masked language model, and its method, which serves the longest length.
        tokens: (N, T) ids.
        lengths: In [2, T].
        last: How many tokens are the last ones.
    """
    peak = PeakMemory(ready.pretrained.device)
    start = time.perf_counter()
    found = losses_by_length(ready, tokens, lengths)
    took = time.perf_counter() - start
    longest = max(lengths)
    share = longest**2 / sum(n**2 for n in lengths) if ready.by_length else 1
    return {
        "lengths": {
            str(n): {
                "blocks": _rounded(block_means(each)),
                "last": float(each[:, -last:].nanmean()),
            }
            for n, each in found.items()
        },
        "positions": curve(found[longest]),
        "seconds": round(took * share / len(tokens), 3),
        "peak_mb": peak.mb(),
    }


def block_means(found: Tensor) -> Tensor:
    """Means of successive blocks of about BLOCK tokens, alike to one token, of all sequences.

    Args:
        found: (N, n) losses.

    Returns:
        (N * max(1, round(n / BLOCK)),), those of the first sequence first.
    """
    n_blocks = max(1, round(found.shape[1] / BLOCK))
    blocks = [part.double().nanmean(1) for part in found.tensor_split(n_blocks, dim=1)]
    return torch.stack(blocks, 1).flatten()


def curve(found: Tensor) -> list[tuple[int, float]]:
    """Mean loss by position: the first place of each of at most POINTS stretches, and its loss.

    Args:
        found: (N, n) losses.
    """
    width = math.ceil(found.shape[1] / POINTS)
    parts = found.double().nanmean(0).split(width)
    return [(1 + i * width, round(float(part.nanmean()), 5)) for i, part in enumerate(parts)]


def _rounded(values: Tensor) -> list[float]:
    return [round(value, 6) for value in values.tolist()]
