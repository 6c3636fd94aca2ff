import numpy as np
import pytest
import torch

from lightning_posenc.data.text.packing import Blocks
from lightning_posenc.positions import PerDocument, Sequences
from lightning_posenc.tasks import IGNORE


def blocks(sizes, length, **options):
    """Documents of the given sizes, made of the tokens 0, 1, 2, ... in order."""
    starts = np.cumsum([0, *sizes])
    return Blocks(np.arange(starts[-1], dtype=np.int32), starts[:-1], length, **options)


@pytest.mark.parametrize(("n", "expected"), [(1, 0), (5, 0), (6, 1), (10, 1), (11, 2), (103, 20)])
def test_a_tail_that_fills_no_block_is_dropped(n, expected):
    assert len(blocks([n], 5)) == expected


def test_each_target_is_the_next_token():
    batch = blocks([23], 5).__getitems__([3, 0])
    assert batch.tokens.tolist() == [[15, 16, 17, 18, 19], [0, 1, 2, 3, 4]]
    assert torch.equal(batch.targets, batch.tokens + 1)
    assert batch.tokens.dtype == batch.targets.dtype == torch.int64
    assert batch.numbers.tolist() == [3, 0]
    assert batch[2:-1] == (None, None, None, None)


def test_blocks_cover_the_text_once():
    data = blocks([4, 7, 20], 3)
    batch = data.__getitems__(list(range(len(data))))
    assert batch.tokens.flatten().tolist() == list(range(30))


def test_separate_documents():
    # Documents 0-2, 3-9, 10, 11-23.
    data = blocks([3, 7, 1, 13], 6, separate_documents=True)
    batch = data.__getitems__([0, 1, 2])
    assert batch.documents.tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 2], [0] * 6]
    assert batch.targets.tolist() == [
        [1, 2, IGNORE, 4, 5, 6],
        [7, 8, 9, IGNORE, IGNORE, 12],
        [13, 14, 15, 16, 17, 18],
    ]


def test_the_last_target_of_a_block_may_belong_to_another_document():
    batch = blocks([4, 9], 4, separate_documents=True)[0]
    assert batch.targets.tolist() == [[1, 2, 3, IGNORE]]
    assert blocks([4, 9], 4)[0].targets.tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("separate", [False, True])
def test_positions_restart_apart_from_what_attention_sees(separate):
    # Documents 0-2, 3-9, 10, 11-23.
    options = {"separate_documents": separate, "reset_positions": True}
    batch = blocks([3, 7, 1, 13], 6, **options).__getitems__([0, 1, 2])
    assert batch.positions.tolist() == [[0, 1, 2, 0, 1, 2], [0, 1, 2, 3, 0, 0], [0, 1, 2, 3, 4, 5]]
    plain = blocks([3, 7, 1, 13], 6, separate_documents=separate).__getitems__([0, 1, 2])
    assert plain.positions is None
    assert torch.equal(batch.targets, plain.targets)
    if not separate:
        assert batch.documents is plain.documents is None
        return
    assert torch.equal(batch.documents, plain.documents)
    # The model's own sampler does the same, where it is told of documents.
    theirs = PerDocument()(Sequences(3, 6, torch.device("cpu"), batch.documents))
    assert torch.equal(batch.positions, theirs)


def test_changing_tokens_leaves_targets_and_text_alone():
    data = blocks([23], 5, separate_documents=True)
    batch = data[1]
    batch.tokens.zero_()
    assert batch.targets.tolist() == [[6, 7, 8, 9, 10]]
    assert data[1].tokens.tolist() == [[5, 6, 7, 8, 9]]
