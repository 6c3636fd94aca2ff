"""What is known of positions is true, is asked once, and spares reading them (P1 of the review)."""

import copy
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_posenc import Encoder, positions
from lightning_posenc.positional import ALiBi, LearnedAbsolute, LearnedGrid, TransformerXL, XPos
from lightning_posenc.positions import (
    Abacus,
    Consecutive,
    Graph,
    Grid,
    Interpolated,
    Jittered,
    PerDocument,
    Places,
    PoSE,
    PositionCoupling,
    Positions,
    RandomDistances,
    Randomized,
    Sequences,
    Shifted,
)
from tests.helpers import dims

CPU, B, T = torch.device("cpu"), 3, 12
DOCUMENTS = torch.tensor([[0] * 5 + [1] * 7, [0] * T, [2] * 6 + [1] * 6])
SAMPLERS: dict[str, Callable[[], Positions]] = {
    "Abacus": partial(Abacus, per_sequence=True),
    "Abacus, one offset": partial(Abacus, max_offset=1000),
    "Consecutive": Consecutive,
    "Graph": lambda: Graph([(node, node + 1) for node in range(T - 2)], n_nodes=T),
    "Grid": partial(Grid, (-1, 4)),
    "Grid, wide": partial(Grid, (2, -1)),
    "Interpolated": partial(Interpolated, 5),
    "Jittered": Jittered,
    "PerDocument": PerDocument,
    "PoSE": partial(PoSE, 20),
    "PoSE, shifted": partial(PoSE, 20, n_chunks=3, of=Shifted(9)),
    "PositionCoupling": PositionCoupling,
    "RandomDistances": partial(RandomDistances, 40, of=Shifted(9)),
    "Randomized": partial(Randomized, 64, per_sequence=True),
    "Shifted": partial(Shifted, 20, of=PerDocument()),
    "Shifted alike": partial(Shifted, 1000, per_sequence=False),
}
each_sampler = pytest.mark.parametrize("make", SAMPLERS.values(), ids=SAMPLERS)


def test_every_sampler_is_among_them() -> None:
    kinds = {
        kind
        for name in positions.__all__
        if inspect.isclass(kind := getattr(positions, name))
        and issubclass(kind, Positions)
        and not inspect.isabstract(kind)
    }
    assert {type(make()) for make in SAMPLERS.values()} == kinds


class Unreadable(torch.Tensor):
    """A tensor whose values nobody may read: a GPU would have to be waited for."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (Tensor.item, Tensor.__bool__, Tensor.__int__, Tensor.__float__, Tensor.tolist):
            raise AssertionError("a value was read")
        return super().__torch_function__(func, types, args, kwargs or {})


@pytest.mark.parametrize(
    ("encoding", "sampler"),
    [
        (ALiBi, Consecutive()),
        (TransformerXL, PerDocument()),
        (ALiBi, RandomDistances()),
        (LearnedAbsolute, Shifted(20)),
        (LearnedAbsolute, Randomized(64)),
        (LearnedAbsolute, Abacus(max_offset=20)),
        (LearnedAbsolute, PositionCoupling()),
        (LearnedGrid, Grid((-1, 4))),
        (XPos, Randomized(64)),
    ],
    ids=lambda part: getattr(part, "__name__", type(part).__name__),
)
def test_nobody_reads_values_that_a_sampler_knew_bounds_of(
    encoding: Any, sampler: Positions
) -> None:
    """On the host nothing waits; as on a device, every tensor of positions refuses to be read."""
    ids = torch.randint(0, 12, (B, T)).as_subclass(Unreadable)
    places = sampler.train().places(Sequences(B, T, CPU, DOCUMENTS, tokens=ids))
    hidden = places._replace(values=places.values.as_subclass(Unreadable))
    made = encoding(dims(causal=True))
    made.check(hidden)
    made.prepare(hidden, hidden)
    with pytest.raises(AssertionError, match="a value was read"):
        hidden._replace(low=None).bounds()


@pytest.mark.parametrize("encoding", [LearnedAbsolute, LearnedGrid, XPos])
def test_bounds_that_do_not_fit_are_no_reason_to_refuse_what_does(encoding: Any) -> None:
    """Bounds are no values: where they do not fit, the values are read, and these decide."""
    made = encoding(dims(causal=True))
    values = torch.arange(T)[None]
    values = torch.stack([values, values], dim=-1) if encoding is LearnedGrid else values
    made.check(Places(values, 0, 10**9))
    with pytest.raises(ValueError, match=encoding.__name__):
        made.check(Places(values * 10**6, 0, 10**9))


def test_a_strangers_sampler_gives_a_tensor() -> None:
    class Mine(Positions):
        def forward(self, sequences: Sequences) -> Tensor:
            return 2 * torch.arange(sequences.length, device=sequences.device).unsqueeze(0)

    x, model = torch.randn(B, T, 32), Encoder(dims(causal=True), ALiBi)
    mine = copy.deepcopy(model)
    mine.positions = Mine()
    given = 2 * torch.arange(T)[None]
    for positions_ in (given, given.int(), Places(given), Places(given, 0, 2 * T)):
        torch.testing.assert_close(mine(x), model(x, positions=positions_))


def test_places_of_some_tokens() -> None:
    places = Consecutive().places(Sequences(B, T, CPU, DOCUMENTS, torch.tensor([T, 4, 7])))
    first, last = places.first(5), places.last(5)
    assert first.values.tolist() == [[0, 1, 2, 3, 4]]
    assert last.values.tolist() == [[7, 8, 9, 10, 11]]
    assert first.lengths is not None
    assert first.lengths.tolist() == [5, 4, 5]
    assert first.documents is not None
    assert torch.equal(first.documents, DOCUMENTS[:, :5])
    assert last.documents is not None
    assert torch.equal(last.documents, DOCUMENTS[:, -5:])
