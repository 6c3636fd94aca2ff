"""Copies of keys and values that the backward pass takes again, and nobody keeps.

Attention by runs of queries copies for each run the keys that it sees: eight times all keys under
BigBird's mask, and fused kernels keep what they were given. Where a run's keys stand is known, so
that the copies are made again, in the time of the copying.

Shapes: B sequences, G key-value heads, S keys, S' of them that a run sees, K channels of a head.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from lightning_posenc.compat.torch import is_transformed, saving


class _Copy(NamedTuple):
    """A run's copy, or what stands for it while it waits for the backward pass.

    Args:
        source: (B, G, S, K), of which it is a copy.
        near: (S',) where in the source.
    """

    source: Any
    near: Tensor


@contextmanager
def taken_again(
    sources: Sequence[Tensor], near: Sequence[Tensor], copies: Sequence[Sequence[Tensor]]
) -> Iterator[None]:
    """Keep none of the copies for the backward pass of what is computed inside.

    Whoever else watches what is saved, as checkpoints do, is shown the source in a copy's place.

    Args:
        sources: Each (B, G, S, K).
        near: (S',) for each run.
        copies: Of each source, of each run: (B, G, S', K).
    """
    hooks = saving() if torch.is_grad_enabled() else None
    if hooks is None or any(map(is_transformed, sources)):  # which have no address
        yield
        return
    pack, unpack = hooks
    made = {
        copy.data_ptr(): (copy, _Copy(source, where))
        for source, runs in zip(sources, copies, strict=True)
        for copy, where in zip(runs, near, strict=True)
    }

    def packed(tensor: Tensor) -> Any:
        copy, origin = made.get(tensor.data_ptr(), (None, None))
        if copy is None or origin is None or not _is_view_of_all(tensor, copy):
            return pack(tensor)
        return origin._replace(source=pack(origin.source.detach()))

    def unpacked(kept: Any) -> Tensor:
        if isinstance(kept, _Copy):
            return unpack(kept.source).index_select(2, kept.near)
        return unpack(kept)

    with saved_tensors_hooks(packed, unpacked):
        yield


def _is_view_of_all(tensor: Tensor, copy: Tensor) -> bool:
    """Whether they are the same numbers in the same order, and not a part or a transpose."""
    return tensor.shape == copy.shape and tensor.stride() == copy.stride()
