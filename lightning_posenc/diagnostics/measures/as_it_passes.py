"""Measure a forward pass while it runs and keep numbers alone: the memory of one layer, not of L.

Shapes: B sequences, T tokens, P places of them, D = d_model, L blocks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lightning_posenc.diagnostics.measures.massive import Massive, massive_activation
from lightning_posenc.diagnostics.measures.measure import measured, named
from lightning_posenc.diagnostics.observing.observe import Observation, observe
from lightning_posenc.diagnostics.quantities import MEASUREMENTS
from lightning_posenc.model.kernels import Operands


class Passing:
    """What was measured of one forward pass of full sequences.

    Args:
        places: Indices (P,) of the tokens whose states are kept.
        look: Is called with the operands of each layer besides.
        attention: Whether attention is measured.

    Attributes:
        by_layer: By quantity and layer (or number of blocks passed), a number or a tensor (H,).
            Without what compares many sequences: `compared` gives that.
        states: L + 1 residual streams (B, P, D), float32 on the CPU.
        sizes: L + 1 medians over tokens of the stream's root mean square over channels.
        massive: L + 1 largest activations.
        finite: Whether all states are finite numbers.
        n_attended: Layers whose attention was seen.
    """

    def __init__(self, places: Tensor, look: Any = None, attention: bool = True) -> None:
        self.states: list[Tensor] = []
        self.sizes: list[float] = []
        self.massive: list[Massive] = []
        self.finite = True
        self.n_attended = 0
        self.seen = Observation()
        self._places = places
        self._look = look
        self._by_depth: dict[str, dict[int, Any]] = {}
        rows = [row for row in MEASUREMENTS if row.as_it_passes and attention]
        self._attention = [named(row.as_it_passes)() for row in rows]

    @property
    def by_layer(self) -> dict[str, dict[int, Any]]:
        """As above."""
        found: dict[str, dict[int, Any]] = {}
        for each in self._attention:
            found |= each.found
        return found | self._by_depth

    @torch.no_grad()
    def attention(self, operands: Operands) -> None:
        """Take the next layer's attention."""
        layer = self.seen.layers[-1]
        self.n_attended += 1
        if self._look is not None:
            self._look(operands)
        if self.finite:
            for each in self._attention:
                each.add(layer, operands)
            self._turned(layer, operands)

    def _turned(self, layer: int, operands: Operands) -> None:
        one = Observation()
        one.attention, one.layers, one.contexts = [operands], [layer], self.seen.contexts
        for row in MEASUREMENTS:
            if row.sees == "planes" and self._attention:
                for name, layers in measured(row, one, None).items():
                    self._by_depth.setdefault(name, {}).update(layers)

    @torch.no_grad()
    def hidden(self, x: Tensor) -> None:
        """Take the residual stream after the next block."""
        self.finite = self.finite and bool(x.isfinite().all())
        self.states.append(x[:, self._places.to(x.device)].float().cpu())
        self.sizes.append(float(x.float().square().mean(dim=-1).sqrt().median()))
        if not self.finite:
            return
        self.massive.append(massive_activation(x))
        state = Observation()
        state.hidden = [x]
        for each in MEASUREMENTS:
            if each.sees == "hidden" and not each.compares_sequences:
                for name, (value, *_) in _values(measured(each, state, None)):
                    self._by_depth.setdefault(name, {})[len(self.states) - 1] = value


def _values(found: Any) -> Iterator[tuple[str, list[Any]]]:
    for name, layers in found.items():
        yield name, list(layers.values())


@contextmanager
def measured_as_it_passes(
    model: nn.Module, places: Tensor, look: Any = None, attention: bool = True
) -> Iterator[Passing]:
    """Measure the one forward pass that runs inside, of full sequences.

    Args:
        model: As of `observe`.
        places: Indices (P,) of the tokens whose states are kept for `compared`.
        look: Is called with the operands of each layer besides.
        attention: Whether attention is measured.
    """
    passing = Passing(places, look, attention)
    with observe(
        model, take_attention=passing.attention, take_hidden=passing.hidden
    ) as passing.seen:
        yield passing


def compared(states: list[Tensor], stride: float) -> dict[str, dict[int, Any]]:
    """What compares many sequences, of states that several passes kept.

    Args:
        states: L + 1 residual streams (B, P, D).
        stride: Tokens between two places, in which a probe's error counts.
    """
    kept = Observation()
    kept.hidden = states
    found: dict[str, dict[int, Any]] = {}
    for each in MEASUREMENTS:
        if each.compares_sequences:
            found |= {k: dict(v) for k, v in measured(each, kept, None).items()}
    for row in (row for each in MEASUREMENTS for row in each.quantities):
        if row.unit == "tokens" and row.name in found:
            found[row.name] = {n: value * stride for n, value in found[row.name].items()}
    return found
