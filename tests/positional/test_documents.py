"""Encodings of the tokens between stop at documents, and heed no positions (bug 10 of the review).

Shapes: B sequences, T tokens.
"""

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_posenc import Encoder
from lightning_posenc.positional import PaTH, SelectiveRoPE
from lightning_posenc.positions import (
    Abacus,
    Graph,
    Grid,
    Jittered,
    Positions,
    Randomized,
    Sequences,
)
from lightning_posenc.testing.case import unplaced
from tests.cases import CASES, Case
from tests.helpers import (
    D_MODEL,
    LENGTH,
    N_HEADS,
    completed,
    dims,
    encoder,
    hooks,
    oracle_view,
    site_of,
    tokens,
)

DOCUMENTS = torch.tensor([[0] * 3 + [1] * 6 + [2], [0] * LENGTH, [4] * 5 + [3] * 5])
CONVOLVED = (partial(PaTH, rank=4), partial(SelectiveRoPE, base=10.0, rank=4, gate=True))
each_convolved = pytest.mark.parametrize("factory", CONVOLVED, ids=["path", "selective-rope"])
UNPLACED = [
    case
    for case in CASES
    if case.place is unplaced and case.factory(dims(causal=True)).axes is None
]
each_unplaced = pytest.mark.parametrize("case", UNPLACED, ids=lambda case: case.name)


@each_convolved
def test_packed_documents_equal_each_alone_whatever_their_positions(factory: partial) -> None:
    """With positions that go on over the boundary too: it was reached over by a few tokens."""
    model, x = Encoder(dims(causal=True), factory, init_std=0.2).eval(), tokens()
    packed = model(x, documents=DOCUMENTS)
    for row, ids in enumerate(DOCUMENTS):
        for document in ids.unique():
            own = ids == document
            alone = model(x[row, own].unsqueeze(0))
            torch.testing.assert_close(packed[row, own], alone[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", [c for c in UNPLACED if c.name.startswith(("path", "selective"))],
                         ids=lambda case: case.name)  # fmt: skip
def test_convolution_equals_the_oracle_over_documents(case: Case) -> None:
    encoding, index = case.factory(dims(causal=True)), torch.arange(LENGTH)[None]
    x, q, k = tokens(), *torch.randn(2, len(DOCUMENTS), N_HEADS, LENGTH, D_MODEL // N_HEADS)
    site = site_of(encoding, 1, x, q, k, index, index, DOCUMENTS)
    future = torch.ones(LENGTH, LENGTH).triu(1).bool()
    logits = torch.randn(*q.shape[:2], LENGTH, LENGTH).masked_fill(future, -torch.inf)
    given = oracle_view(encoding, site, logits)
    expected = completed(case.oracle(given), given)
    for name, value in hooks(encoding, site, logits).items():
        if value is not None:
            got, wanted = value.detach().double().numpy(), expected[name]
            assert wanted is not None
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5, err_msg=name)


@each_unplaced
def test_what_reads_no_positions_accepts_any_and_is_moved_by_none(case: Case) -> None:
    """Positions that repeat or fall cut nothing; axes and graphs are let by."""
    model, x = encoder(case, causal=True), tokens()
    expected = model(x)
    fall = torch.arange(LENGTH).flip(0)[None]
    for positions in (fall, fall % 3, torch.randn(len(x), LENGTH), Grid((-1, 2)), whole_graph()):
        given = positions if isinstance(positions, Tensor) else drawn(positions)
        assert torch.equal(model(x, positions=given), expected)


@each_convolved
@pytest.mark.parametrize(
    "sampler", [Abacus([1, 2], 9), Jittered(max_local_shift=3.0), Randomized(64)], ids=str
)
def test_no_sampler_cuts_a_convolution(factory: partial, sampler: Positions) -> None:
    """B10: Abacus says 0 of most tokens, and a large jitter changes their order."""
    model, x = Encoder(dims(causal=True), factory, init_std=0.2), tokens()
    expected = model(x)
    model.positions = sampler
    ids = torch.randint(0, 4, x.shape[:2])
    assert torch.equal(model(x, tokens=ids), expected)


def drawn(sampler: Positions) -> Tensor:
    return sampler(Sequences(1, LENGTH, torch.device("cpu")))


def whole_graph() -> Graph:
    return Graph([(node, node + 1) for node in range(LENGTH - 1)])
