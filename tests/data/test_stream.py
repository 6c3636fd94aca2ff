from itertools import chain

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_posenc.data import EvalBatches, GlobalBatches, ShuffledPasses


def interleaved(shares):
    """The global batch whose r-th of W shares is shares[r]."""
    return list(chain.from_iterable(zip(*shares, strict=True)))


@pytest.mark.parametrize("order", [lambda e: e, ShuffledPasses(7, seed=3)])
def test_any_number_of_ranks_sees_the_same_global_batches(order):
    whole = list(GlobalBatches(12, 5, order=order))
    for world_size in (2, 3, 12):
        shares = [list(GlobalBatches(12, 5, r, world_size, order=order)) for r in range(world_size)]
        assert [interleaved(share) for share in zip(*shares, strict=True)] == whole


def test_any_batch_size_sees_the_same_samples_in_the_same_order():
    order = ShuffledPasses(10, seed=1)
    streams = [list(chain(*GlobalBatches(g, 24 // g, order=order))) for g in (2, 3, 8, 24)]
    assert all(stream == streams[0] for stream in streams)


def test_an_epoch_starts_where_training_stands():
    consumed = 0
    batches = GlobalBatches(4, 3, consumed=lambda: consumed)
    assert len(batches) == 3
    assert list(batches) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    consumed = 5
    assert list(batches) == [[20, 21, 22, 23], [24, 25, 26, 27], [28, 29, 30, 31]]


def test_a_batch_that_cannot_be_shared():
    with pytest.raises(ValueError, match=r"^data\.batch_size=10 .* 4 ranks: .* multiple of 4$"):
        GlobalBatches(10, 1, 0, 4)


def test_each_pass_holds_each_item_once_in_another_order():
    order = ShuffledPasses(50, seed=0)
    passes = [order(torch.arange(50 * n, 50 * (n + 1))).tolist() for n in range(4)]
    assert all(sorted(items) == list(range(50)) for items in passes)
    assert len({tuple(items) for items in passes}) == 4
    assert passes[0] != ShuffledPasses(50, seed=1)(torch.arange(50)).tolist()


def test_a_pass_does_not_depend_on_those_before():
    elements = torch.arange(95, 125)  # of pass 1 and 2
    order = ShuffledPasses(50, seed=0)
    forward = torch.cat([order(e) for e in torch.arange(150).split(7)])
    assert torch.equal(ShuffledPasses(50, seed=0)(elements), forward[elements])


@settings(deadline=None)
@given(n_items=st.integers(1, 60), batch_size=st.integers(1, 20), world_size=st.integers(1, 8))
def test_ranks_share_an_evaluation_equally(n_items, batch_size, world_size):
    if n_items < world_size:
        with pytest.raises(ValueError, match=f"shared by {world_size} ranks"):
            EvalBatches(n_items, batch_size, 0, world_size)
        return
    samplers = [EvalBatches(n_items, batch_size, r, world_size) for r in range(world_size)]
    ranks = [list(sampler) for sampler in samplers]
    n_shared = n_items - n_items % world_size
    assert sorted(chain(*chain(*ranks))) == list(range(n_shared))
    assert len({tuple(map(len, batches)) for batches in ranks}) == 1
    assert len(samplers[0]) == len(ranks[0])
    assert max(map(len, ranks[0])) <= max(1, batch_size // world_size)


def test_evaluation_is_in_order():
    assert list(EvalBatches(7, 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(EvalBatches(7, 4, 1, 2)) == [[1, 3], [5]]
