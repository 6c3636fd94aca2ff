"""A run that is killed and resumed sees exactly the batches that it would have seen."""

import pytest

from lightning_posenc.data import SyntheticData, TextData
from lightning_posenc.tasks import Reverse

# Lightning's own use of torch, and its advice to take more workers.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),  # a resumed run goes on in its own
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
]


def synthetic(tmp_path, **options):
    defaults = {"train_length": [4, 8], "batch_size": 4, "steps_per_epoch": 6}
    return SyntheticData(Reverse(), **(defaults | options))


def text(tmp_path, **options):
    file = tmp_path / "text.txt"
    file.write_text("".join(f"line {n}\n" for n in range(60)))
    defaults = {"train_length": 16, "batch_size": 4, "steps_per_epoch": 6}
    return TextData(str(file), **(defaults | options))


@pytest.fixture
def uninterrupted(tmp_path, trainer, recorder):
    def run(data, **options):
        model = recorder()
        trainer(max_epochs=3, **options).fit(model, datamodule=data(tmp_path))
        return model.seen

    return run


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("data", [synthetic, text])
@pytest.mark.parametrize(
    ("killed_at", "step"),
    [
        pytest.param(4, 3, id="mid-epoch"),
        pytest.param(7, 6, id="end of epoch"),
        pytest.param(10, 9, id="mid-epoch of the second"),
    ],
)
def test_killed(
    tmp_path, trainer, recorder, uninterrupted, private_cache, num_workers, data, killed_at, step
):
    whole = uninterrupted(data)
    assert len(whole) == 18
    assert all(batch not in whole[:n] for n, batch in enumerate(whole)), "batches must differ"
    model = recorder(fail_at=killed_at)
    with pytest.raises(RuntimeError, match="killed"):
        trainer(3, max_epochs=3).fit(model, datamodule=data(tmp_path, num_workers=num_workers))
    assert model.seen == whole[:killed_at]
    model = recorder()
    trainer(3, max_epochs=3).fit(
        model,
        datamodule=data(tmp_path, num_workers=num_workers),
        ckpt_path=tmp_path / f"step={step}.ckpt",
    )
    assert model.seen == whole[step:]


def test_from_the_checkpoint_of_an_epochs_end(tmp_path, trainer, recorder, uninterrupted):
    whole = uninterrupted(synthetic)
    first = trainer(max_epochs=1)
    first.fit(recorder(), datamodule=synthetic(tmp_path))
    first.save_checkpoint(tmp_path / "end.ckpt")
    model = recorder()
    trainer(max_epochs=3).fit(
        model, datamodule=synthetic(tmp_path), ckpt_path=tmp_path / "end.ckpt"
    )
    assert model.seen == whole[6:]


def test_with_validation_in_between(tmp_path, trainer, recorder, uninterrupted):
    whole = uninterrupted(synthetic)
    options = {"max_epochs": 3, "limit_val_batches": 2, "val_check_interval": 2}
    for killed_at, step in ((5, 4), (9, 8)):
        with pytest.raises(RuntimeError, match="killed"):
            trainer(2, **options).fit(recorder(killed_at), datamodule=synthetic(tmp_path))
        model = recorder()
        checkpoint = tmp_path / f"step={step}.ckpt"
        trainer(2, **options).fit(model, datamodule=synthetic(tmp_path), ckpt_path=checkpoint)
        assert model.seen == whole[step:]


def test_with_accumulated_gradients(tmp_path, trainer, recorder, uninterrupted):
    whole = uninterrupted(synthetic, accumulate_grad_batches=2)
    options = {"max_epochs": 3, "accumulate_grad_batches": 2}
    with pytest.raises(RuntimeError, match="killed"):
        trainer(2, **options).fit(recorder(fail_at=5), datamodule=synthetic(tmp_path))
    model = recorder()
    # Two steps of the optimizer are four batches.
    checkpoint = tmp_path / "step=2.ckpt"
    trainer(2, **options).fit(model, datamodule=synthetic(tmp_path), ckpt_path=checkpoint)
    assert model.seen == whole[4:]


def test_a_checkpoint_written_while_failing(tmp_path, trainer, recorder, uninterrupted):
    whole = uninterrupted(synthetic)
    failing = trainer(max_epochs=3)
    with pytest.raises(RuntimeError, match="killed"):
        failing.fit(recorder(fail_at=4), datamodule=synthetic(tmp_path))
    failing.save_checkpoint(tmp_path / "failed.ckpt")
    model = recorder()
    resumed = trainer(3, max_epochs=3)
    resumed.fit(model, datamodule=synthetic(tmp_path), ckpt_path=tmp_path / "failed.ckpt")
    assert model.seen == whole[4:]  # the batch that failed was not trained on


def test_limited_epochs_waste_no_samples(tmp_path, trainer, recorder, uninterrupted):
    whole = uninterrupted(synthetic)
    model = recorder()
    trainer(max_epochs=4, limit_train_batches=4).fit(model, datamodule=synthetic(tmp_path))
    assert model.seen == whole[:16]


def test_another_batch_size(tmp_path, trainer, recorder):
    trainer(3, max_epochs=1).fit(recorder(), datamodule=synthetic(tmp_path))
    with pytest.raises(ValueError, match=r"batch_size=8: .* with 4; resume with 4 or start a new"):
        trainer(3, max_epochs=2).fit(
            recorder(),
            datamodule=synthetic(tmp_path, batch_size=8),
            ckpt_path=tmp_path / "step=3.ckpt",
        )
