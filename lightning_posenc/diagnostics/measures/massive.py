"""Massive activations: a few numbers of the residual stream that dwarf all others.

Sun et al. 2024, "Massive Activations in Large Language Models" (arXiv:2402.17762): larger than 100
and than about 1,000 times the median of their layer, at a few channels of the first token or of
delimiters. They make attention's sinks, and cost half precision and quantisation their grid.

Shapes: B sequences, T tokens, D channels.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.checks import kinds_checked
from lightning_posenc.diagnostics.observing.observe import Observation

SAMPLED = 2**16  # numbers of which the median is taken, evenly spaced


class Massive(NamedTuple):
    """The largest number of a layer's states; tensors without dimensions.

    Args:
        ratio: Its size over the median size.
        largest: Its size.
        sequence: Which sequence it is in.
        position: At which token.
        channel: In which channel.
    """

    ratio: Tensor
    largest: Tensor
    sequence: Tensor
    position: Tensor
    channel: Tensor


@kinds_checked
@torch.no_grad()
def massive_activation(x: Tensor, lengths: Tensor | None = None) -> Massive:
    """Find the largest.

    Args:
        x: (B, T, D) states.
        lengths: (B,) tokens of each sequence; None if all are full.
    """
    sizes = x.detach().float().abs()
    if lengths is not None:
        places = torch.arange(x.shape[1], device=x.device)
        sizes = sizes.masked_fill((places >= lengths[:, None].to(x.device))[..., None], torch.nan)
    flat = sizes.flatten()
    index = flat.nan_to_num(nan=-1.0, posinf=torch.inf).argmax()
    largest = flat[index]
    # A stride that shares no factor with the channels sees all of them alike.
    step = max(1, len(flat) // SAMPLED)
    while step > 1 and x.shape[-1] % step == 0:
        step -= 1
    median = flat[::step].nanmedian().clamp(min=torch.finfo(flat.dtype).tiny)
    n_tokens, n_channels = x.shape[1:]
    return Massive(
        ratio=largest / median,
        largest=largest,
        sequence=index // (n_tokens * n_channels),
        position=index // n_channels % n_tokens,
        channel=index % n_channels,
    )


def massive_by_depth(seen: Observation, lengths: Tensor | None) -> dict[str, dict[int, Tensor]]:
    """How large the largest is, and where it stands, by blocks passed."""
    found = [massive_activation(x, lengths) for x in seen.hidden]
    return {
        "massive/ratio": {n: each.ratio for n, each in enumerate(found)},
        "massive/largest": {n: each.largest for n, each in enumerate(found)},
    }
