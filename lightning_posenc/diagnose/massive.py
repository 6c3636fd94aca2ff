"""Where the largest activation of each layer stands, and on which token."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.diagnostics.measures.massive import Massive


class Largest(NamedTuple):
    """The largest activation after so many blocks.

    Args:
        ratio: Its size over the median.
        size: Its size.
        position: At which token of its sequence.
        channel: In which channel.
        token: Id of that token; None where tokens are none, such as patches and frames.
    """

    ratio: float
    size: float
    position: int
    channel: int
    token: int | None


def largest(found: Sequence[Massive], tokens: Tensor | None) -> list[Largest]:
    """By blocks passed.

    Args:
        found: By blocks passed.
        tokens: (B, T) ids of what was read; None where tokens have none.
    """
    by_depth = []
    for each in found:
        sequence, position, channel = (int(x) for x in (each.sequence, each.position, each.channel))
        token = None if tokens is None else int(tokens[sequence, position])
        by_depth.append(Largest(float(each.ratio), float(each.largest), position, channel, token))
    return by_depth


def largest_of_all(passes: Sequence[list[Largest]]) -> list[Largest]:
    """Of several passes, the largest at each depth."""
    return [max(each, key=lambda one: one.size) for each in zip(*passes, strict=True)]


def in_float16(size: float) -> float:
    """A size, over the largest number of float16."""
    return size / torch.finfo(torch.float16).max
