"""A resumed run's schedule ends with the run, however long its epochs have been (B12)."""

from functools import partial
from pathlib import Path

import lightning as L
import pytest
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_posenc.data import SyntheticData
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import SequenceClassifier, WarmupCosine
from lightning_posenc.positional import NoPE
from lightning_posenc.tasks import PositionPattern


def fit(
    root: Path, steps_per_epoch: int, epochs: int, ckpt_path: Path | None = None, **options: int
) -> L.Trainer:
    module = SequenceClassifier(
        EncoderSpec(16, 2, 1), PositionPattern().vocab_size, 4, positional=NoPE,
        schedule=partial(WarmupCosine, warmup_steps=1, final_ratio=0.0),
    )  # fmt: skip
    kept = [
        ModelCheckpoint(root, "batch={step}", every_n_train_steps=1, save_top_k=-1),
        ModelCheckpoint(root, "epoch={step}", save_on_train_epoch_end=True, save_top_k=-1),
    ]
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=epochs, callbacks=kept, logger=False,
        default_root_dir=root, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False, limit_val_batches=0, **options,
    )  # fmt: skip
    data = SyntheticData(
        PositionPattern(), train_length=8, batch_size=4, steps_per_epoch=steps_per_epoch
    )
    trainer.fit(module, data, ckpt_path=ckpt_path, weights_only=True)
    return trainer


@pytest.mark.parametrize(
    ("after", "per_epoch", "options"),
    [
        ("epoch=step=4", 2, {}),
        pytest.param("epoch=step=4", 6, {}, marks=pytest.mark.slow),
        ("epoch=step=2", 3, {"accumulate_grad_batches": 2}),
        pytest.param("epoch=step=4", 5, {"max_steps": 7}, marks=pytest.mark.slow),
        ("batch=step=3", 4, {}),  # nothing has changed
        pytest.param("batch=step=4", 4, {}, marks=pytest.mark.slow),
    ],
)
def test_the_schedule_ends_with_the_run(
    after: str, per_epoch: int, options: dict[str, int], tmp_path: Path
) -> None:
    """It was once as long as if all epochs had had the length of now."""
    fit(tmp_path, 4, 2, **options)
    trainer = fit(tmp_path, per_epoch, 3, tmp_path / f"{after}.ckpt", **options)
    (config,) = trainer.lr_scheduler_configs
    assert config.scheduler.state_dict()["total_steps"] == trainer.global_step
    assert config.scheduler.get_last_lr()[0] < 1e-9


@pytest.mark.parametrize(("after", "per_epoch"), [("batch=step=3", 2), ("batch=step=4", 6)])
def test_an_epoch_goes_on_as_long_as_it_was(after: str, per_epoch: int, tmp_path: Path) -> None:
    """Lightning would begin it anew, or take the next one for a part of it."""
    fit(tmp_path, 4, 1)
    with pytest.raises(ValueError, match=rf"of an epoch of 4 with epochs of {per_epoch}: resume"):
        fit(tmp_path, per_epoch, 3, tmp_path / f"{after}.ckpt")


def test_an_epoch_without_batches_is_refused_by_the_option_that_makes_it_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"raise trainer\.limit_train_batches"):
        fit(tmp_path, 4, 2, limit_train_batches=0)
