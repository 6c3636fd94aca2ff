"""What every encoding is and can do, found out by making and running it, not from a list."""

import inspect
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib import resources
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.catalogue.discovery import OURS, classes, path_of
from lightning_posenc.catalogue.docstrings import summary
from lightning_posenc.diagnostics import shuffle_change
from lightning_posenc.dims import Dims
from lightning_posenc.model import Encoder
from lightning_posenc.model.kernels import SDPA, Flex, Kernels, Operands
from lightning_posenc.positional import Factory, PositionalEncoding
from lightning_posenc.positional.base import overridden
from lightning_posenc.positional.rotary.scaling import Scaling
from lightning_posenc.positions import Places, Positions
from lightning_posenc.positions.paper import Paper

HOOKS = ("embed", "transform", "bias", "rescore", "values", "output")
FAR = 10**6  # a position that no table reaches
AWARE = 1e-3  # of the spread of outputs, by which a model that reads order changes at least


class Entry(NamedTuple):
    """An encoding.

    Args:
        name: Of the class; its path if it is none of ours.
        sentence: What it does: the first line of its docstring.
        paper: Its source; None if it names none.
        hooks: Those that it overrides.
        parameters: Number of its parameters for the given dims.
        length: "any", or the largest number of tokens that it serves.
        order: Whether a bidirectional model tells a sequence from its reverse: "yes", "no", or
            "causal only" if the encoding refuses such a model.
        kernel: The fastest kernel that serves it.
        cost: Time of a training step over that with NoPE, where it was measured.
    """

    name: str
    sentence: str
    paper: Paper | None
    hooks: tuple[str, ...]
    parameters: int
    length: str
    order: str
    kernel: str
    cost: float | None


def encodings(dims: Dims, modules: Sequence[str] = (OURS,)) -> Iterator[Entry]:
    """Describe every encoding that can be made from dims alone, by name.

    Args:
        dims: Sizes; whether they are causal does not matter.
        modules: Where they are defined.
    """
    measured = costs()["ratios"]
    for name, kind in classes(PositionalEncoding, modules).items():
        if needs_only_dims(kind):
            yield describe(kind, dims, measured.get(name))


def describe(kind: type[PositionalEncoding], dims: Dims, cost: float | None = None) -> Entry:
    """Describe one class."""
    with torch.random.fork_rng(devices=()):
        encoding = kind(replace(dims, causal=True))
    return Entry(
        name=path_of(kind),
        sentence=summary(kind),
        paper=kind.source,
        hooks=overridden(kind, HOOKS),
        parameters=sum(parameter.numel() for parameter in encoding.parameters()),
        length=str(longest(encoding) or "any"),
        order=_order(kind),
        kernel=_kernel(kind),
        cost=cost,
    )


def samplers(modules: Sequence[str] = (OURS,)) -> Iterator[tuple[str, str, Paper | None]]:
    """Name, first line and paper of every sampler of positions."""
    for name, sampler in classes(Positions, modules).items():
        yield name, summary(sampler), sampler.source


def scalings(modules: Sequence[str] = (OURS,)) -> Iterator[tuple[str, str, Paper | None]]:
    """Name, first line and paper of every scaling of RoPE."""
    for name, scaling in classes(Scaling, modules).items():
        yield name, summary(scaling), scaling.source


def costs() -> dict[str, Any]:
    """What `benchmarks/encodings.py` measured: ratios to NoPE by class, machine, versions, date."""
    file = resources.files("lightning_posenc.catalogue") / "encoding_costs.json"
    return json.loads(file.read_text("utf-8"))


def example_positions(encoding: PositionalEncoding, n: int, step: int = 1) -> Tensor:
    """Positions 0, step, 2·step, … of n tokens, or places of a grid or graph of them: in the
    shape that the encoding takes.

    Raises:
        ValueError: If it takes none of them: it says why for one number each.
    """
    index = torch.arange(n).unsqueeze(0)
    distances = (index.unsqueeze(-1) - index.unsqueeze(-2)).abs()
    refusal: ValueError | None = None
    for shaped in (index * step, _grid(n, 2) * step, _grid(n, 3) * step, distances * step):
        try:
            encoding.check(Places(shaped))
        except ValueError as error:
            refusal = refusal or error
        else:
            return shaped
    assert refusal is not None
    raise refusal


def _grid(n: int, axes: int) -> Tensor:
    """The first n places of a grid as high as wide, row by row: (1, n, A)."""
    side = 1
    while side**axes < n:
        side += 1
    index = torch.arange(n)
    return torch.stack([index // side**axis % side for axis in reversed(range(axes))], -1)[None]


def needs_only_dims(kind: type) -> bool:
    """Whether all its arguments but the first have defaults."""
    first, *others = inspect.signature(kind).parameters.values()
    return first.name == "dims" and all(other.default is not other.empty for other in others)


def longest(encoding: PositionalEncoding) -> int | None:
    """The most tokens that an encoding serves at consecutive positions; None for any number."""

    def serves(n_tokens: int) -> bool:
        try:
            example_positions(encoding, 2, step=n_tokens - 1)
        except ValueError:
            return False
        return True

    if serves(FAR):
        return None
    low, high = 1, FAR  # serves `low` tokens, not `high`
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if serves(middle) else (low, middle)
    return low


def _tiny(kind: Factory, causal: bool) -> Encoder:
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(0)
        return Encoder(Dims(32, 4, 2, causal), kind, init_std=0.2).eval()


def _order(kind: type[PositionalEncoding]) -> str:
    """A bidirectional model that is blind to order gives the reversed outputs of the reversed
    sequence.
    """
    try:
        model = _tiny(kind, causal=False)
    except ValueError:
        return "causal only"
    x = torch.randn(2, 12, 32, generator=torch.Generator().manual_seed(0))
    at = example_positions(model.positional, 12)
    with torch.no_grad():
        before, after = (model(each, positions=at) for each in (x, x.flip(1)))
    reverse = torch.arange(12).flip(0).expand(2, 12)
    return "yes" if shuffle_change(before, after, reverse) > AWARE else "no"


def _kernel(kind: type[PositionalEncoding]) -> str:
    """What serves the operands that reach a causal model's kernels."""
    model = _tiny(partial(kind, **kind.shows_with), causal=True)
    seen: list[Operands] = []
    for module in model.modules():
        if isinstance(module, Kernels):
            module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model(torch.ones(1, 12, 32), positions=example_positions(model.positional, 12))
    if not all(map(SDPA().serves, seen)):
        return "eager"
    if all(operands.bias is None for operands in seen):
        return "SDPA flash, Flex"
    if all(map(Flex().expresses, seen)):
        return "SDPA, fixed bias; Flex"
    return "SDPA, learned bias"
