"""`Consecutive`, `PerDocument` and `Grid`, beside plain loops."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightning_posenc.positions import Consecutive, Grid, PerDocument, Sequences

CPU = torch.device("cpu")


def test_consecutive_counts_from_zero() -> None:
    assert Consecutive()(Sequences(3, 5, CPU)).tolist() == [[0, 1, 2, 3, 4]]


@given(st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=4), min_size=1, max_size=3))
def test_per_document_restarts_at_every_boundary(sizes: list[list[int]]) -> None:
    length = max(map(sum, sizes))
    rows, expected = [], []
    for row in sizes:
        row = [*row, *[1] * (length - sum(row))]
        rows.append([7 - document for document, size in enumerate(row) for _ in range(size)])
        expected.append([place for size in row for place in range(size)])
    documents = torch.tensor(rows)
    assert PerDocument()(Sequences(len(rows), length, CPU, documents)).tolist() == expected


def test_per_document_without_documents_is_consecutive() -> None:
    assert torch.equal(PerDocument()(Sequences(2, 6, CPU)), Consecutive()(Sequences(2, 6, CPU)))


@pytest.mark.parametrize("shape", [(3, 4), (-1, 4), (3, -1), (2, 3, 2), (2, -1, 2), (1, 12)])
def test_grid_counts_row_by_row(shape: tuple[int, ...]) -> None:
    known = math.prod(size for size in shape if size != -1)
    full = [12 // known if size == -1 else size for size in shape]
    expected = list(product(*map(range, full)))
    drawn = Grid(shape)(Sequences(5, 12, CPU))
    assert drawn.shape == (1, 12, len(shape))
    assert [tuple(place) for place in drawn[0].tolist()] == expected
