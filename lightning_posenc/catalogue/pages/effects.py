"""What classes do to tokens, in numbers: what pages draw.

Shapes: H heads, T tokens, D channels of the stream, A axes.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.catalogue.described import example_positions
from lightning_posenc.dims import Dims
from lightning_posenc.model import Encoder, Mixer
from lightning_posenc.positional import NoPE, PositionalEncoding, Site
from lightning_posenc.positional.by_distance import written_out
from lightning_posenc.positions import Places, Positions, Sequences
from lightning_posenc.positions.places import on_a_grid

DIMS = Dims(256, 4, 2)
TOKENS, SIDE = 32, 9
SEQUENCES, LENGTH = 4, 12
MOVED = 1e-5
SHOWN_WITH: dict[str, Any] = {"SpatialReductionAttention": {"ratio": 2}}  # of the few tokens


class Effect(NamedTuple):
    """What an encoding does in the first layer where it does something.

    Args:
        stream: (T, D) what it adds to a stream of ones; None if nothing.
        logits: (H, T, T) what it adds to the logits of queries and keys of ones, -inf where a key
            is hidden; None if nothing.
        grid: Rows and columns of the tokens; None if they stand in a row.
        causal: Whether the model is causal: where the encoding wants it, or shows nothing else.
    """

    stream: Tensor | None
    logits: Tensor | None
    grid: tuple[int, int] | None
    causal: bool


@torch.no_grad()
def effect(make: Callable[[Dims], PositionalEncoding]) -> Effect:
    """Run an encoding's hooks, its parameters as they start (seed 0).

    Args:
        make: Makes it from sizes.
    """
    try:
        found = _effect(make, causal=False)
    except ValueError:
        return _effect(make, causal=True)
    # What depends on how many keys a query sees says nothing where all see as many.
    alike = found.logits is not None and found.logits.std() < MOVED
    return _effect(make, causal=True) if alike else found


def _effect(make: Callable[[Dims], PositionalEncoding], causal: bool) -> Effect:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        encoding = make(replace(DIMS, causal=causal)).eval()
    positions = example_positions(encoding, TOKENS)
    grid = None
    if positions.dim() == 3 and positions.shape[-1] == 2:
        positions, grid = example_positions(encoding, SIDE**2), (SIDE, SIDE)
    places = Places(positions)
    encoding.check(places)
    prepared = encoding.prepare(places, places)
    layers = range(DIMS.n_layers)
    stream = next(filter(_moves, (_stream(encoding, places, layer) for layer in layers)), None)
    logits = next(
        filter(_moves, (_logits(encoding, places, prepared, layer, causal) for layer in layers)),
        None,
    )
    return Effect(stream, logits, grid, causal)


def _moves(change: Tensor) -> bool:
    return bool(change[change.isfinite()].abs().amax() > MOVED)


def _stream(encoding: PositionalEncoding, places: Places, layer: int) -> Tensor:
    ones = torch.ones(1, places.values.shape[1], DIMS.d_model)
    return (encoding.embed(ones, encoding.told(places), layer) - ones)[0]


def _logits(
    encoding: PositionalEncoding, places: Places, prepared: object, layer: int, causal: bool
) -> Tensor:
    n, scale = places.values.shape[1], DIMS.d_head**-0.5
    x = torch.randn(1, n, DIMS.d_model, generator=torch.Generator().manual_seed(0))
    ones = torch.ones(1, DIMS.n_heads, n, DIMS.d_head)
    site = Site(layer, x, x, ones, ones, ones, places, places, prepared)
    q, k = encoding.transform(site)
    found = scale * (q @ k.transpose(-2, -1))
    bias = encoding.bias(site)
    found = found if bias is None else found + written_out(bias)
    hidden = torch.ones(n, n, dtype=torch.bool).triu(1) if causal else torch.zeros(n, n).bool()
    found = found.masked_fill(hidden, -torch.inf)
    if (rescore := encoding.rescore(site)) is not None:
        found = rescore(found)
    plain = scale * (ones @ ones.transpose(-2, -1))
    return (found - plain)[0].masked_fill(hidden, -torch.inf)


def influence(kind: type[Mixer], causal: bool) -> Tensor:
    """How far each output moves with each input, the largest 1: (T, T) norms of Jacobians.

    Args:
        kind: A mixer that serves such models.
        causal: Whether tokens see the past alone.
    """
    grid = on_a_grid(4, 4, torch.device("cpu")) if kind.on_grid else None
    n = 16
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        dims = Dims(32, 4, 1, causal)
        make: Any = partial(kind, **SHOWN_WITH.get(kind.__name__, {}))
        model = Encoder(dims, NoPE, mixer=make, init_std=0.3).eval()
        x = torch.randn(1, n, dims.d_model)

    def mixed(given: Tensor) -> Tensor:
        if grid is None:
            return model(given) - given
        return model(given, positions=grid) - given

    jacobian = torch.autograd.functional.jacobian(mixed, x)[0, :, :, 0]  # (T, D, T, D)
    norms = jacobian.square().sum((1, 3)).sqrt().detach()
    norms.fill_diagonal_(0.0)  # a token's own part, that of the residual, would hide all others
    return norms / norms.amax().clamp(min=1e-12)


@torch.no_grad()
def positions_of(sampler: Positions, training: bool) -> Tensor:
    """The positions of a few sequences: (B, T) or (B, T, A).

    Those that read tokens are told `653+49=207`, of ids 0 to 9, 10 and 11; documents have four
    tokens.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        n = getattr(sampler, "n_nodes", LENGTH)
        tokens = torch.tensor([[6, 5, 3, 10, 4, 9, 11, 2, 0, 7]]).repeat(SEQUENCES, 1)
        if sampler.reads_tokens:
            n = tokens.shape[1]
        told = Sequences(
            SEQUENCES, n, torch.device("cpu"), documents=torch.arange(n).repeat(SEQUENCES, 1) // 4,
            tokens=tokens if sampler.reads_tokens else None,
        )  # fmt: skip
        places = sampler.train(training).places(told)
        return places.values if places.stretch is None else places.stretch[:n].unsqueeze(0)
