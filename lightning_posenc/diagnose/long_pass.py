"""A forward pass of another package's model, measured while it runs: of any length, in O(T) memory.

Shapes: B sequences, T tokens, P places of them, D = d_model, H heads, L blocks.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.data import Batch
from lightning_posenc.diagnose.bands import Bands, LayerBands, layer_bands
from lightning_posenc.diagnose.costs import AttentionCost, taken_by
from lightning_posenc.diagnose.massive import Largest, largest, largest_of_all
from lightning_posenc.diagnose.subject import OtherModel
from lightning_posenc.diagnostics.measures.as_it_passes import (
    Passing,
    compared,
    measured_as_it_passes,
)
from lightning_posenc.diagnostics.metric_keys import of_name
from lightning_posenc.diagnostics.observing.rotary_planes import RotaryPlanes
from lightning_posenc.model.kernels import Operands

FEW = 8  # sequences, below which nothing is said that compares some with others
TOKENS = 8192  # of a pass, of several sequences where they are short
PAIRS = 1 << 26  # of queries and keys whose attention is measured: one sequence of 8,192 tokens
KEPT = 1 << 24  # numbers of states that are kept for what compares sequences, 64 MB


class Passed(NamedTuple):
    """What was measured of the examined sequences; see `Examination`.

    Args:
        by_layer: By quantity and layer, a number or a list of the heads' numbers.
        sizes: L + 1 sizes of the residual stream.
        finite: Whether all states are finite numbers.
        n_layers: L.
        taken: How each layer's attention is computed.
        bands: What the planes of a rotation do, by layer.
        largest: L + 1 largest activations; none if states are not finite.
    """

    by_layer: dict[str, list[Any]]
    sizes: list[float]
    finite: bool
    n_layers: int
    taken: list[AttentionCost]
    bands: Mapping[int, LayerBands] = MappingProxyType({})
    largest: Sequence[Largest] = ()


@torch.no_grad()
def long_pass(
    subject: OtherModel, planes: Mapping[int, RotaryPlanes] = MappingProxyType({})
) -> Passed:
    """Run all examined sequences, a few at a time, and keep numbers alone.

    Attention, whose time grows with T², is measured on as many of the first sequences as have PAIRS
    pairs of tokens together, on one at least. What compares sequences looks at evenly spaced places
    of theirs.

    Args:
        subject: The model.
        planes: In which its layers turn, by number.
    """
    bands: Bands = {}
    taken: list[AttentionCost] = []
    passes: list[tuple[int, Passing]] = []
    massive: list[list[Largest]] = []
    pairs = 0
    for part in _portions(subject):
        first = not passes

        def look(operands: Operands, first: bool = first) -> None:
            if first:
                taken.append(taken_by(operands, len(subject.batch.tokens)))
                layer = passing.seen.layers[-1]
                if layer in planes:
                    bands[layer] = layer_bands(operands, planes[layer])

        with measured_as_it_passes(
            subject.observed, _places(subject), look, attention=pairs < PAIRS
        ) as passing:
            subject.outputs(part)
        pairs += len(part.tokens) * subject.length**2
        passes.append((len(part.tokens), passing))
        massive.append(largest(passing.massive, part.tokens))
    n_layers = len(taken) or max(len(passes[0][1].states) - 1, 0)
    finite = all(passing.finite for _, passing in passes)
    sizes = _mean([(n, torch.tensor(passing.sizes)) for n, passing in passes]).tolist()
    found = _combined(passes) if finite else {}
    if finite and len(subject.batch.tokens) >= FEW:
        states = [torch.cat(each) for each in zip(*(p.states for _, p in passes), strict=True)]
        stride = (subject.length - 1) / max(len(_places(subject)) - 1, 1)
        for name, layers in compared(states, stride).items():
            found[name] = [_plain(value) for value in layers.values()]
    return Passed(
        found,
        sizes if finite else [],
        finite,
        n_layers,
        taken,
        bands,
        largest_of_all(massive) if finite else (),
    )


def _portions(subject: OtherModel) -> Iterator[Batch]:
    step = max(1, TOKENS // subject.length)
    for start in range(0, len(subject.batch.tokens), step):
        tokens = subject.batch.tokens[start : start + step]
        yield Batch(tokens, tokens)


def _places(subject: OtherModel) -> Tensor:
    """Evenly spaced places, all of them where there is memory for it."""
    n = KEPT // (subject.width * len(subject.batch.tokens))
    n = max(2, min(subject.length, n))
    return torch.linspace(0, subject.length - 1, n).round().long()


def _combined(passes: list[tuple[int, Passing]]) -> dict[str, list[Any]]:
    """Means over sequences; of what is the largest of all, the largest."""
    found: dict[str, list[Any]] = {}
    names = {name: layers for _, passing in passes for name, layers in passing.by_layer.items()}
    for name, layers in names.items():
        row = of_name(name)
        for layer in layers:
            values = [
                (n, torch.as_tensor(passing.by_layer[name][layer]))
                for n, passing in passes
                if layer in passing.by_layer.get(name, {})
            ]
            if row is not None and row.largest:
                value = torch.stack([each for _, each in values]).amax(dim=0)
            else:
                value = _mean(values)
            found.setdefault(name, []).append(_plain(value))
    return found


def _mean(values: list[tuple[int, Tensor]]) -> Tensor:
    total = sum(n for n, _ in values)
    return torch.stack([value.double().cpu() * (n / total) for n, value in values]).sum(dim=0)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, Tensor) else value
