"""What an encoding's hooks must give, layer by layer, beside its oracle and in bfloat16.

Shapes: B sequences, T queries, S keys, H heads, K channels of a head.
"""

import copy
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from lightning_posenc.positional import PositionalEncoding
from lightning_posenc.positional.by_distance import written_out
from lightning_posenc.positions import Places
from lightning_posenc.testing.case import Case
from lightning_posenc.testing.check import expect
from lightning_posenc.testing.models import counted, encoder, placed, tokens
from lightning_posenc.testing.oracle import Array, Oracle
from lightning_posenc.testing.sites import completed, hooks, oracle_view, site_of
from lightning_posenc.testing.sizes import BATCH, D_MODEL, LENGTH, N_HEADS, dims

N_SEQUENCES, N_KEYS, N_LAYERS = 2, 9, 3
Layout: TypeAlias = Callable[[int], tuple[Tensor, Tensor]]
"""Positions of the queries and of the keys, the same object where they are the same, below a
limit."""


def consecutive(limit: int) -> tuple[Tensor, Tensor]:
    """0, 1, 2, …"""
    positions = torch.arange(N_KEYS).unsqueeze(0)
    return positions, positions


def gapped(limit: int) -> tuple[Tensor, Tensor]:
    """Some of many whole numbers, others in each sequence."""
    drawn = [torch.randperm(limit)[:N_KEYS].sort().values for _ in range(N_SEQUENCES)]
    positions = torch.stack(drawn)
    return positions, positions


def sparse(limit: int) -> tuple[Tensor, Tensor]:
    """Two positions far apart: fewer pairs than distances between them."""
    positions = torch.tensor([[0, limit - 1]])
    return positions, positions


def off_the_lattice(limit: int) -> tuple[Tensor, Tensor]:
    """Numbers that are not whole."""
    positions = (torch.rand(N_SEQUENCES, N_KEYS) * (limit - 1)).sort(dim=1).values
    return positions, positions


def last_queries(limit: int) -> tuple[Tensor, Tensor]:
    """Three queries at the end of many keys, as in generation."""
    positions, _ = gapped(limit)
    return positions[:, -3:], positions


LAYOUTS: tuple[Layout, ...] = (consecutive, gapped, sparse, off_the_lattice, last_queries)


def compared(
    case: Case, causal: bool, layout: Layout
) -> Iterator[tuple[str, Array | None, Array | None]]:
    """What each hook returns in each layer, its name first, beside what the oracle says."""
    assert case.oracle is not None
    encoding = case.factory(dims(causal, N_LAYERS)).eval()
    q_pos, k_pos = layout(min(32, case.limit or 32))
    n_queries, n_keys = q_pos.shape[1], k_pos.shape[1]
    x = torch.randn(N_SEQUENCES, n_keys, D_MODEL)
    q = torch.randn(N_SEQUENCES, N_HEADS, n_queries, D_MODEL // N_HEADS)
    k = torch.randn(N_SEQUENCES, N_HEADS // 2, n_keys, D_MODEL // N_HEADS)  # grouped
    logits = torch.randn(N_SEQUENCES, N_HEADS, n_queries, n_keys)
    if causal:
        logits = logits.masked_fill((q_pos[..., None] < k_pos[:, None])[:, None], -torch.inf)
    all_of_them = q_pos is k_pos
    k_pos = case.place(k_pos)
    q_pos = k_pos if all_of_them else k_pos[:, -n_queries:]
    for layer in range(N_LAYERS):
        site = site_of(encoding, layer, x, q, k, q_pos, k_pos)
        given = oracle_view(encoding, site, logits)
        expected = completed(case.oracle(given), given)
        for name, value in hooks(encoding, site, logits).items():
            wanted = expected[name]
            got = None if value is None else value.detach().double().numpy()
            if got is not None and wanted is not None:
                got = np.broadcast_to(got, wanted.shape)
            yield name, got, wanted


def hooks_equal_oracle(case: Case, causal: bool, layout: Layout) -> None:
    """Every hook gives, in every layer, what the oracle says in float64."""
    if layout is off_the_lattice and case.differentiable is None:
        try:
            case.factory(dims(causal)).check(
                Places(case.place(layout(min(32, case.limit or 32))[1]))
            )
        except ValueError:
            return  # it serves whole positions only, and says so
    for name, got, wanted in compared(case, causal, layout):
        if got is None or wanted is None:
            expect(got is wanted, f"{name}: {_said(got)}, and the oracle says {_said(wanted)}")
            continue
        with np.errstate(invalid="ignore"):  # -inf less -inf
            off = np.nan_to_num(np.abs(got - wanted)).max(initial=0)
        agree = np.allclose(got, wanted, rtol=1e-5, atol=1e-5, equal_nan=True)
        expect(agree, f"{name}: off by {off:.1e} at positions {layout.__name__.replace('_', ' ')}")


def _said(value: Array | None) -> str:
    return "nothing" if value is None else "something"


def gradients_reach_what_the_oracle_depends_on(case: Case, causal: bool) -> None:
    """An entry of a parameter has a gradient just where moving it moves the oracle's result."""
    assert case.oracle is not None
    model, positions = encoder(case, causal), counted(case)
    out = model(tokens(), positions=positions)
    parameters = dict(model.positional.named_parameters())
    if not parameters:
        return
    grads = torch.autograd.grad((out * torch.randn_like(out)).sum(), list(parameters.values()))
    reach = Reach(case, case.oracle, model.positional, causal)
    for (name, parameter), grad in zip(parameters.items(), grads, strict=True):
        expect(grad.isfinite().all(), f"{name} has a gradient that is not finite")
        entries = np.unique(np.linspace(0, parameter.numel() - 1, 10).astype(int))
        reached = grad.flatten()[torch.from_numpy(entries)].abs() > 1e-6 * grad.abs().amax()
        expected = [reach.uses(name, entry) for entry in entries]
        expect(any(expected), f"{name}: the oracle does not use it")
        wrong = [int(e) for e, r, x in zip(entries, reached, expected, strict=True) if r != x]
        expect(not wrong, f"{name}: at entries {wrong} a gradient and no use, or the reverse")


class Reach:
    """What the oracle's result depends on, in any layer."""

    def __init__(
        self, case: Case, oracle: Oracle, encoding: PositionalEncoding, causal: bool
    ) -> None:
        generator = torch.Generator().manual_seed(0)
        positions = counted(case)
        visible = np.tri(LENGTH, dtype=bool) if causal else np.ones((LENGTH, LENGTH), dtype=bool)
        q, k = torch.randn(2, 1, N_HEADS, LENGTH, D_MODEL // N_HEADS, generator=generator)
        x = torch.randn(1, LENGTH, D_MODEL, generator=generator)
        logits = torch.randn(1, N_HEADS, LENGTH, LENGTH, generator=generator)
        logits = logits.masked_fill(~torch.from_numpy(visible), -torch.inf)
        self.oracle = oracle
        self.visible = visible
        views = (
            oracle_view(encoding, site_of(encoding, layer, x, q, k, positions, positions), logits)
            for layer in range(encoding.dims.n_layers)
        )
        self.layers = [(given, completed(oracle(given), given)) for given in views]

    def uses(self, name: str, entry: int) -> bool:
        """Whether moving one entry of a parameter moves what a softmax does not cancel."""
        for given, before in self.layers:
            moved = given.parameters[name].copy()
            moved.flat[entry] += 1e-3
            other = given._replace(parameters=given.parameters | {name: moved})
            after = completed(self.oracle(other), other)
            if any(self._differ(what, value, after[what]) for what, value in before.items()):
                return True
        return False

    def _differ(self, what: str, before: Array | None, after: Array | None) -> bool:
        if before is None or after is None:
            return False
        change = np.zeros_like(before)
        np.subtract(after, before, out=change, where=np.isfinite(before))
        if what in ("bias", "logits"):  # a constant along the visible keys changes nothing
            visible = self.visible
            change = np.where(visible, change, 0)
            change -= visible * change.sum(-1, keepdims=True) / visible.sum(-1)[:, None]
        return bool(np.abs(change).max() > 1e-9)


def bfloat16_model_keeps_positions_apart(case: Case, causal: bool) -> None:
    """What a bfloat16 encoding adds is off by bfloat16's rounding of the result, never of a
    position: at 512 such positions the neighbours would coincide.
    """
    length = min(512, case.limit or 512)
    rough = case.factory(dims(causal)).eval().to(torch.bfloat16)
    exact = copy.deepcopy(rough).float()
    positions = counted(case, length)
    x = torch.randn(1, length, D_MODEL).bfloat16()
    q, k = torch.randn(2, 1, N_HEADS, length, D_MODEL // N_HEADS).bfloat16()
    logits = torch.zeros(1, N_HEADS, length, length)
    at = (positions, positions)
    for layer in range(2):
        ours = hooks(rough, site_of(rough, layer, x, q, k, *at), logits)
        wide = site_of(exact, layer, x.float(), q.float(), k.float(), *at)
        for name, expected in hooks(exact, wide, logits).items():
            value = ours[name]
            if value is None or expected is None:
                expect(value is expected, f"{name}: something in one precision, not in the other")
                continue
            close = torch.isclose(value.float(), expected, rtol=2**-6, atol=0.02).all()
            off = (value.float() - expected).nan_to_num().abs().amax()
            expect(close, f"{name} in bfloat16: off by {off:.1e} at {length} tokens")


def content_dependence(case: Case, causal: bool) -> None:
    """A bias that does not read the tokens can be computed once for all sequences."""
    encoding, positions = case.factory(dims(causal)).eval(), placed(case)
    biases: list[Tensor | None] = []
    reads = False
    for layer in range(2):
        for x in (tokens(), tokens()):
            q, k = torch.randn(2, BATCH, N_HEADS, LENGTH, D_MODEL // N_HEADS)
            site = site_of(encoding, layer, x, q, k, positions, positions)
            bias = encoding.bias(site)
            biases.append(None if bias is None else written_out(bias))
            reads = reads or encoding.rescore(site) is not None
    for first, second in zip(biases[::2], biases[1::2], strict=True):
        if first is not None and second is not None:
            reads = reads or not torch.equal(first, second)
    expect(reads == case.content_dependent, f"it reads the tokens: {reads}")
