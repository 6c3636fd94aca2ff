"""What every mixer is and honours, found out by making and running it, not from a list.

Shapes: B sequences, T tokens, D = d_model.
"""

import inspect
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib import resources
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.catalogue.described import example_positions, needs_only_dims
from lightning_posenc.catalogue.discovery import OURS, classes, path_of
from lightning_posenc.catalogue.docstrings import summary
from lightning_posenc.dims import Dims
from lightning_posenc.model import Encoder, Mixer
from lightning_posenc.model.cache import Cache
from lightning_posenc.model.mixers import Growth
from lightning_posenc.positional import NoPE, PositionalEncoding
from lightning_posenc.positional.base import HOOKS
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import on_a_grid

DIRECTIONS = {False: "bidirectional", True: "causal"}
LENGTH = 12
GRID = (2, 6)  # of those that want one
MOVED = 1e-6  # of an output of size 1, by which an encoding that is honoured moves one at least


class MixerEntry(NamedTuple):
    """A mixer.

    Args:
        name: Of the class; its path if it is none of ours.
        sentence: What it does: the first line of its docstring.
        paper: Its source; None if it names none.
        growth: How time and memory grow with the length, as its source says; None if unsaid.
        serves: What it serves besides an encoding's hooks.
        hooks: The hooks of an encoding that it honours.
        state: What a layer remembers while it decodes, in numbers; "none" if it has no cache.
        measured: Exponents of the length, (time, memory), where they were measured.
        error: Largest difference from its oracle, where that was recorded.
    """

    name: str
    sentence: str
    paper: Paper | None
    growth: Growth | None
    serves: frozenset[str]
    hooks: frozenset[str]
    state: str
    measured: tuple[float, float] | None
    error: float | None


def mixers(dims: Dims, modules: Sequence[str] = (OURS,)) -> Iterator[MixerEntry]:
    """Describe every mixer that can be made from dims and a layer alone, by name.

    Args:
        dims: Sizes; whether they are causal does not matter.
        modules: Where they are defined.
    """
    recorded = records()
    for kind in makeable(modules):
        exponents, error = (recorded[name].get(path_of(kind)) for name in ("exponents", "errors"))
        measured = None if exponents is None else (exponents["time"], exponents["memory"])
        yield MixerEntry(
            path_of(kind), summary(kind), kind.source, kind.growth, kind.serves, kind.hooks,
            state_of(kind, dims), measured, error,
        )  # fmt: skip


def makeable(modules: Sequence[str] = (OURS,)) -> list[type[Mixer]]:
    """The mixers whose arguments but dims and layer have defaults."""
    return [kind for kind in classes(Mixer, modules).values() if _needs_only_two(kind)]


def _needs_only_two(kind: type[Mixer]) -> bool:
    _, _, *others = inspect.signature(kind).parameters.values()
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return all(other.default is not other.empty or other.kind in kinds for other in others)


def records() -> dict[str, Any]:
    """What `benchmarks/mixers.py` measured: exponents and errors by class, machine and date."""
    file = resources.files("lightning_posenc.catalogue") / "mixer_records.json"
    return json.loads(file.read_text("utf-8"))


@torch.no_grad()
def state_of(kind: type[Mixer], dims: Dims) -> str:
    """What one layer's cache holds after two lengths, by reading them."""
    one = replace(dims, n_layers=1, causal=True)
    taken = []
    with torch.random.fork_rng(devices=()):
        for length in (8, 16):
            cache = Cache(length)
            try:
                model = Encoder(one, NoPE, mixer=kind).eval()
                here = torch.arange(length).unsqueeze(0)
                model(torch.zeros(1, length, dims.d_model), positions=here, cache=cache)
            except ValueError:
                return "none"
            taken.append(cache.n_bytes // 4)
    first, second = taken
    if first == second:
        return f"{first:,} in all"
    return f"{(second - first) // 8:,} a token"


def pairs(
    kinds: Sequence[type[Mixer]], modules: Sequence[str] = (OURS,)
) -> Iterator[tuple[str, list[str]]]:
    """Every encoding, and what became of it with every mixer: see `tried`."""
    for name, encoding in _encodings(modules).items():
        yield name, [tried(kind, encoding) for kind in kinds]


def n_encodings(modules: Sequence[str] = (OURS,)) -> int:
    """How many encodings `pairs` tries."""
    return len(_encodings(modules))


def _encodings(modules: Sequence[str]) -> dict[str, type[PositionalEncoding]]:
    found = classes(PositionalEncoding, modules)
    return {name: kind for name, kind in found.items() if needs_only_dims(kind)}


def tried(kind: type[Mixer], encoding: type[PositionalEncoding]) -> str:
    """Run a mixer with an encoding.

    Returns:
        "yes", "causal" or "bidirectional" for the models whose outputs the encoding moves; or, if
        there are none, the hooks that are refused, or "ignored".
    """
    served, refused = [], ""
    for causal, name in DIRECTIONS.items():
        if name not in kind.serves:
            continue
        try:
            moved = _moves(kind, encoding, causal)
        except ValueError as error:
            refused = _of_hooks(str(error)) or refused or "refused"
            continue
        if moved:
            served.append(name)
        else:
            refused = "ignored"
    if len(served) == len(DIRECTIONS):
        return "yes"
    return served[0] if served else refused


@torch.no_grad()
def _moves(kind: type[Mixer], encoding: type[PositionalEncoding], causal: bool) -> bool:
    """Whether an encoding, its parameters off their start, moves the outputs of a layer.

    Raises:
        ValueError: If the mixer or the encoding refuses.
    """
    outputs: list[Tensor] = []
    with torch.random.fork_rng(devices=()):
        dims = Dims(32, 4, 1, causal)
        for each in (NoPE, partial(encoding, **encoding.shows_with)):
            torch.manual_seed(0)
            model = Encoder(dims, each, mixer=kind, init_std=0.2).eval()
            torch.manual_seed(1)
            for parameter in model.positional.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
            torch.manual_seed(2)
            for block in model.blocks:
                for parameter in block.parameters():
                    parameter.copy_(0.2 * torch.randn_like(parameter))
            x = torch.randn(2, LENGTH, dims.d_model)
            on_grid = on_a_grid(*GRID, x.device) if kind.on_grid else None
            positions = on_grid or example_positions(model.positional, LENGTH)
            outputs.append(model(x, positions=positions))
    changed = (outputs[1] - outputs[0]).abs().amax()
    return encoding is NoPE or bool(changed > MOVED)


def _of_hooks(said: str) -> str:
    """The hooks that a refusal names; "" for one of another reason."""
    found = re.search(r"does not honour (.+?) of ", said)
    named = [] if found is None else found[1].split(" and ")
    return ", ".join(name for name in named if name in HOOKS)
