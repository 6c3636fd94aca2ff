"""What a masked language model hides, and what a batch without targets costs (review 6 and 12)."""

import pytest
import torch

from lightning_posenc.data import Batch
from lightning_posenc.data.text.packing import Blocks
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import LanguageModel, SequenceClassifier, TokenClassifier
from lightning_posenc.tasks import IGNORE

SPEC = EncoderSpec(d_model=16, n_heads=2, n_layers=1)


def masked(**options) -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(SPEC, 9, objective="masked", **options).eval()


def blocks(length: int) -> Blocks:
    tokens = torch.arange(97).remainder(9).numpy()
    return Blocks(tokens, torch.tensor([0]).numpy(), length)


def hidden(model: LanguageModel, data: Blocks, batches: list[list[int]]) -> dict[int, list[int]]:
    """The targets of each block, however they are put into batches."""
    found = {}
    for n, numbers in enumerate(batches):
        _, _, targets = model.score(data.__getitems__(numbers), n)
        found |= dict(zip(numbers, targets.tolist(), strict=True))
    return found


def test_what_is_hidden_depends_on_the_block_alone():
    """Not on the size of a batch, nor on the rank that has the block."""
    model, data = masked(mask_share=0.4), blocks(8)
    whole = hidden(model, data, [list(range(12))])
    assert len({tuple(target != IGNORE for target in row) for row in whole.values()}) > 8
    assert hidden(model, data, [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]) == whole
    ranks = hidden(model, data, [[0, 2, 4], [6, 8, 10]]) | hidden(model, data, [[1, 3, 5], [7]])
    assert ranks == {n: whole[n] for n in ranks}
    assert hidden(masked(mask_share=0.4), data, [[3]]) == {3: whole[3]}
    longer = hidden(model, blocks(16), [[0]])[0]
    assert [t != IGNORE for t in longer[:8]] != [t != IGNORE for t in whole[0]]


def test_data_that_numbers_nothing_has_the_same_at_every_evaluation():
    model = masked()
    batch = Batch(torch.zeros(2, 30, dtype=torch.int64), torch.zeros(2, 30, dtype=torch.int64))
    first, second = (model.score(batch, 1)[2] for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, model.score(batch, 2)[2])


@pytest.mark.parametrize("kind", ["masked", "causal", "tokens", "sequences"])
def test_a_batch_without_targets_costs_nothing(kind):
    tokens = torch.zeros(1, 4, dtype=torch.int64)
    if kind in ("masked", "causal"):
        model = LanguageModel(SPEC, 9, objective=kind, mask_share=1e-6)
    else:
        model = (TokenClassifier if kind == "tokens" else SequenceClassifier)(SPEC, 9, 3)
    targets = torch.full((1,) if kind == "sequences" else (1, 4), IGNORE)
    loss, _, _ = model.train().score(Batch(tokens, targets), 0)
    loss.backward()
    assert loss == 0
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert grads
    assert all((grad == 0).all() for grad in grads)
