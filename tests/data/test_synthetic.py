from itertools import chain

import pytest
import torch
from torch.utils.data import DataLoader

from lightning_posenc.data import Batch, GlobalBatches, SyntheticData
from lightning_posenc.data.order import take
from lightning_posenc.tasks import IGNORE, Copy, Order, PositionPattern, Reverse, generate

# Lightning's own use of torch, and its advice to take more workers.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
]
SMALL = {"batch_size": 8, "steps_per_epoch": 3, "eval_samples": 20}


def test_batches_hold_the_samples_of_the_stream():
    data = SyntheticData(Reverse(), train_length=9, seed=5, **SMALL)
    batches = list(data.train_dataloader())
    assert len(batches) == 3
    for n, batch in enumerate(batches):
        expected = generate(Reverse(), 5, "train", torch.arange(8 * n, 8 * n + 8), 9)
        assert isinstance(batch, Batch)
        assert torch.equal(batch.tokens, expected.tokens)
        assert torch.equal(batch.targets, expected.targets)
        assert batch.lengths is batch.focus is None


def global_tokens(data, world_size, num_workers):
    """Tokens of the global batches, put together again from the shares of the ranks."""
    dataset = data.train_dataloader().dataset
    ranks = []
    for rank in range(world_size):
        sampler = GlobalBatches(data.batch_size, data.steps_per_epoch, rank, world_size)
        ranks.append(
            list(
                DataLoader(dataset, batch_sampler=sampler, collate_fn=take, num_workers=num_workers)
            )
        )
    return [
        torch.stack([share.tokens for share in shares], dim=1).flatten(0, 1)
        for shares in zip(*ranks, strict=True)
    ]


@pytest.mark.parametrize("train_length", [9, [5, 12]])
def test_any_number_of_ranks_and_workers_sees_the_same_global_batches(train_length):
    data = SyntheticData(Reverse(), train_length, **SMALL)
    whole = torch.stack(global_tokens(data, 1, 0))
    for world_size, num_workers in ((2, 0), (4, 0), (1, 2), (2, 2)):
        again = torch.stack(global_tokens(data, world_size, num_workers))
        assert torch.equal(again, whole), (world_size, num_workers)


def test_any_batch_size_sees_the_same_samples_in_the_same_order():
    streams = []
    for batch_size in (4, 6, 24):
        data = SyntheticData(
            Reverse(), [5, 12], batch_size=batch_size, steps_per_epoch=24 // batch_size
        )
        streams.append(torch.cat([batch.tokens for batch in data.train_dataloader()]))
    assert torch.equal(streams[0], streams[1])
    assert torch.equal(streams[0], streams[2])


@pytest.mark.parametrize("task", [PositionPattern(), Copy()])
def test_a_pair_of_lengths(task):
    data = SyntheticData(task, [5, 12], batch_size=400, steps_per_epoch=1)
    (batch,) = data.train_dataloader()
    assert batch.tokens.shape == (400, 12)
    assert batch.lengths.unique().tolist() == list(range(5, 13))
    for i, length in enumerate(batch.lengths.tolist()):
        alone = generate(task, 0, "train", torch.tensor([i]), length)
        assert torch.equal(batch.tokens[i, :length], alone.tokens[0])
        assert batch.tokens[i, length:].eq(0).all()
        if task.kind == "token":
            assert torch.equal(batch.targets[i, :length], alone.targets[0])
            assert batch.targets[i, length:].eq(IGNORE).all()
            assert batch.focus is None
        else:
            assert batch.targets[i] == alone.targets[0]
            assert batch.focus[i] == alone.focus[0]


def test_evaluation():
    data = SyntheticData(Reverse(), 8, eval_lengths=[8, 16, 24], eval_batch_size=6, **SMALL)
    (val, *tests) = [data.val_dataloader(), *data.test_dataloader()]
    assert [next(iter(loader)).tokens.shape[1] for loader in (val, *tests)] == [8, 8, 16, 24]
    for split, loader in (("val", val), ("test", tests[0])):
        tokens = torch.cat([batch.tokens for batch in loader])
        expected = generate(Reverse(), 0, split, torch.arange(20), 8)
        assert torch.equal(tokens, expected.tokens)
        again = torch.cat([batch.tokens for batch in loader])
        assert torch.equal(tokens, again)


def test_validation_has_the_lengths_of_training():
    data = SyntheticData(Reverse(), [5, 12], eval_samples=300)
    lengths = torch.cat([batch.lengths for batch in data.val_dataloader()])
    assert lengths.unique().tolist() == list(range(5, 13))
    assert [loader.dataset.lengths for loader in data.test_dataloader()] == [12]


def test_what_a_model_needs_to_know():
    data = SyntheticData(Copy(7), [5, 12], eval_lengths=[20])
    assert (data.vocab_size, data.n_classes, data.kind) == (9, 7, "token")
    assert (data.train_lengths.low, data.train_lengths.high, data.eval_lengths) == (5, 12, [20])
    assert data.bag_of_tokens_bounds() == {t: Copy(7).bag_of_tokens_bound(t) for t in (5, 12, 20)}


def test_the_default_task_is_not_shared():
    assert isinstance(SyntheticData().task, PositionPattern)
    assert SyntheticData().task is not SyntheticData().task


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"eval_batch_size": -1}, "eval_batch_size=-1 must be at least 1"),
        ({"steps_per_epoch": 0}, "steps_per_epoch=0 must be at least 1"),
        ({"eval_samples": 0}, "eval_samples=0 must be at least 1"),
        ({"num_workers": -1}, "num_workers=-1 must be at least 0"),
        ({"train_length": [9, 5]}, r"train_length=\[9, 5\] must .* low <= high"),
        ({"train_length": [5]}, r"train_length=\[5\] must be one length, or"),
        ({"train_length": 3}, "PositionPattern cannot make sequences of length 3"),
        ({"train_length": [1, 9], "task": Order()}, "Order cannot make sequences of length 1"),
        ({"eval_lengths": [8, 2]}, "PositionPattern cannot make sequences of length 2"),
        ({"eval_lengths": []}, r"eval_lengths=\[\] must name at least one"),
    ],
)
def test_errors_at_construction(options, message):
    with pytest.raises(ValueError, match=message) as error:
        SyntheticData(**options)
    assert "\n" not in str(error.value)


def test_through_the_trainer(trainer, recorder):
    data = SyntheticData(Reverse(), 8, eval_lengths=[8, 12], **SMALL)
    model = recorder()
    loop = trainer(limit_val_batches=1.0)
    loop.fit(model, datamodule=data)
    expected = generate(Reverse(), 0, "train", torch.arange(48), 8).tokens.tolist()
    assert list(chain(*model.seen)) == expected  # the second epoch goes on, it does not repeat
    fixed = generate(Reverse(), 0, "val", torch.arange(20), 8).tokens.tolist()
    assert list(chain(*model.evaluated)) == fixed * 2
    model.evaluated.clear()
    loop.test(model, datamodule=data, verbose=False)
    assert [len(row) for row in chain(*model.evaluated)] == [8] * 20 + [12] * 20
    predicted = torch.cat(loop.predict(model, datamodule=data))
    assert torch.equal(predicted, generate(Reverse(), 0, "test", torch.arange(20), 8).tokens)


@pytest.mark.parametrize("loader", ["train_dataloader", "val_dataloader", "predict_dataloader"])
def test_lightning_must_not_divide_the_data_again(trainer, monkeypatch, loader):
    data = SyntheticData(Reverse(), 8, **SMALL)
    data.trainer = trainer(use_distributed_sampler=True)
    getattr(data, loader)()  # a single process has nothing to divide
    ranks = property(lambda self: {"rank": 1, "num_replicas": 2})
    monkeypatch.setattr(type(data.trainer), "distributed_sampler_kwargs", ranks)
    with pytest.raises(ValueError, match=r"trainer\.use_distributed_sampler=false$"):
        getattr(data, loader)()


def test_overfitting_repeats_the_same_batches(trainer, recorder):
    model = recorder()
    data = SyntheticData(Reverse(), 8, **SMALL)
    trainer(overfit_batches=2, max_epochs=3).fit(model, datamodule=data)
    expected = generate(Reverse(), 0, "train", torch.arange(16), 8).tokens.tolist()
    assert list(chain(*model.seen)) == expected * 3


def test_the_seed_is_the_runs_unless_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    assert SyntheticData().seed == 0
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    assert SyntheticData().seed == 7
    assert SyntheticData(seed=3).seed == 3
