"""Do positions stay apart, and angles right, in the numbers that they are computed with?

Shapes: T tokens, H heads, K channels of a head, D = d_model.
"""

import copy
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.diagnose.lengths import longest
from lightning_posenc.diagnose.subject import OwnModel
from lightning_posenc.positional import PositionalEncoding, Site
from lightning_posenc.positional.by_distance import written_out
from lightning_posenc.positions import Places, Sequences

FAR = 4096  # tokens of a sequence that positions are tried on
HALF = (torch.bfloat16, torch.float16)
SAMPLE = 64  # of whose positions attention is computed


class Precision(NamedTuple):
    """Precision of positions.

    Args:
        dtype: Of the positions, as the encoder hands them to its encoding.
        tokens: Length on which they were tried.
        distinct: Different positions over tokens, in [0, 1].
        half_weights: Whether parameters of the encoding are in half precision.
        error: Largest change of what the encoding adds, where the model is cast to bfloat16 and
            runs under autocast, over its root mean square; of one whose weights are in half
            precision, by what their rounding may have taken away. None if it cannot be computed.
    """

    dtype: str
    tokens: int
    distinct: float
    half_weights: bool
    error: float | None


@torch.no_grad()
def measure_precision(subject: OwnModel) -> Precision:
    """Draw positions of a long sequence, and compute the encoding in both precisions."""
    encoding = subject.module.positional
    positions = _positions(subject, min(FAR, longest(encoding) or FAR))
    if positions is None:
        positions = _positions(subject, subject.length)
    assert positions is not None
    flat = positions[0].flatten(1) if positions.dim() > 2 else positions[0]
    distinct = len(flat.unique(dim=0)) / len(flat)
    return Precision(
        str(positions.dtype).removeprefix("torch."),
        len(flat),
        distinct,
        any(p.dtype in HALF for p in encoding.parameters()),
        _error(encoding, positions),
    )


def _positions(subject: OwnModel, length: int) -> Tensor | None:
    """What the encoding is handed for a sequence of this length; None if it refuses it."""
    if subject.places is not None:
        return subject.places.values[:1, subject.n_outside :]
    given = subject.batch.positions
    if given is not None:
        return given[:1] if length <= given.shape[1] else None
    tokens = subject.batch.tokens[:1]
    ids = None
    if subject.vocab_size is not None:
        ids = tokens.repeat(1, -(-length // tokens.shape[1]))[:, :length]
    try:
        told = Sequences(1, length, tokens.device, tokens=ids)
        places = subject.encoder.positions.places(told)
        subject.module.positional.check(places)
    except ValueError:
        return None
    return places.values


def _error(encoding: PositionalEncoding, positions: Tensor) -> float | None:
    """Largest error of queries' and keys' products and of the bias, spread over the positions."""
    dims = encoding.dims
    index = torch.linspace(0, positions.shape[1] - 1, SAMPLE).long().unique()
    at = positions[:, index]
    x = torch.randn(1, len(index), dims.d_model)
    q, k = torch.randn(2, 1, dims.n_heads, len(index), dims.d_head)
    exact = _added(encoding, x, q, k, at)
    if any(p.dtype in HALF for p in encoding.parameters()):
        cast = _nudged(encoding)
    else:
        cast = copy.deepcopy(encoding).to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        rough = _added(cast, x, q, k, at)
    if exact is None or rough is None:
        return None
    size = exact.square().mean().sqrt()
    return float((exact - rough).abs().amax() / size) if size > 0 else 0.0


def _nudged(encoding: PositionalEncoding) -> PositionalEncoding:
    """A copy whose parameters are off by what rounding to half precision may have taken away."""
    nudged = copy.deepcopy(encoding).float()
    for name, parameter in encoding.named_parameters():
        if parameter.dtype in HALF:
            half_step = torch.finfo(parameter.dtype).eps / 2
            signs = torch.randn(parameter.shape).sign()
            nudged.get_parameter(name).mul_(1 + half_step * signs)
    return nudged


def _added(
    encoding: PositionalEncoding, x: Tensor, q: Tensor, k: Tensor, positions: Tensor
) -> Tensor | None:
    """What depends on position, in one long row: the stream, and the logits with the bias."""
    places = Places(positions)
    try:
        with torch.autocast("cpu", enabled=False):
            prepared = encoding.prepare(places, places)
        embedded = encoding.embed(x, positions, 0)
        site = Site(0, x, x, q, k, k, places, places, prepared)
        turned_q, turned_k = (each.float() for each in encoding.transform(site))
        bias = encoding.bias(site)
    except (RuntimeError, ValueError):  # projections of its own in another dtype
        return None
    logits = turned_q @ turned_k.transpose(-2, -1) * q.shape[-1] ** -0.5
    if bias is not None:
        logits = logits + written_out(bias).float()
    return torch.cat([embedded.float().flatten(), logits.flatten()])
