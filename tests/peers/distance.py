"""Encodings that add a function of distance to the logits, beside others' code."""

import warnings
from collections.abc import Iterator

from torch import Tensor

from lightning_posenc.positional import DynamicBias
from tests.peers.base import T, bias, dims, heads, peer

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # its use of jit
    from x_transformers import x_transformers


@peer("DynamicBias", "x-transformers DynamicPositionBias")
def dynamic_bias() -> Iterator[tuple[Tensor, Tensor]]:
    """The peer's last linear map has a bias, which changes no weight: zero here."""
    q, k = heads()
    for log_distance in (False, True):
        for depth, norm in ((1, False), (2, False), (3, True)):
            encoding = DynamicBias(dims(), 6, depth, log_distance, norm)
            theirs = x_transformers.DynamicPositionBias(
                6, heads=q.shape[1], depth=depth, log_distance=log_distance, norm=norm
            )
            (ours,) = encoding.mlps
            for own, other in zip(ours.linears, theirs.mlp, strict=False):
                own.load_state_dict(other[0].state_dict())
            ours.out.weight.data = theirs.mlp[-1].weight.data
            theirs.mlp[-1].bias.data.zero_()
            yield bias(encoding, q, k)[0], theirs(T, T)
