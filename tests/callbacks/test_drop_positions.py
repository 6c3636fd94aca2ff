"""DropPositions: the step, the checkpoint, and the model that nothing can be dropped from."""

from functools import partial
from pathlib import Path

import lightning as L
import pytest
import torch
from torch.optim import AdamW

from lightning_posenc.callbacks import DropPositions
from lightning_posenc.data import SyntheticData
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import SequenceClassifier
from lightning_posenc.positional import Chain, Droppable, LearnedAbsolute, NoPE, RoPE
from lightning_posenc.positional.base import Factory
from lightning_posenc.tasks import PositionPattern

SPEC = EncoderSpec(d_model=16, n_heads=2, n_layers=2, init_std=0.2)
VOCAB_SIZE = PositionPattern().vocab_size


class DroppedAt(L.Callback):
    """Notes before which steps the encoding was there."""

    def __init__(self) -> None:
        self.served: list[bool] = []

    def on_train_batch_end(self, trainer, pl_module, *args) -> None:  # type: ignore[no-untyped-def]
        self.served.append(not pl_module.positional.dropped)


def model(positional: Factory) -> SequenceClassifier:
    optimizer = partial(AdamW, lr=1e-3)
    return SequenceClassifier(SPEC, VOCAB_SIZE, 4, positional=positional, optimizer=optimizer)


def trained(
    module: SequenceClassifier, root: Path, at_step: int, steps: int, ckpt_path: str | None = None
) -> tuple[L.Trainer, list[bool]]:
    noted = DroppedAt()
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=steps,
        callbacks=[DropPositions(at_step), noted],
        default_root_dir=root,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        limit_val_batches=0,
    )
    data = SyntheticData(PositionPattern(), train_length=8, batch_size=4, steps_per_epoch=20)
    trainer.fit(module, data, ckpt_path=ckpt_path, weights_only=False)
    return trainer, noted.served


def same_as_without(module: SequenceClassifier) -> bool:
    """Whether the encoder computes what one without an encoding computes."""
    bare = model(NoPE)
    ours = {name: value for name, value in module.state_dict().items() if "positional" not in name}
    bare.load_state_dict(ours)
    x = torch.randn(2, 8, 16)
    return torch.equal(module.encoder(x), bare.encoder(x))


@pytest.mark.parametrize("encoding", [RoPE, LearnedAbsolute])
def test_drops_at_the_step_and_the_checkpoint_remembers(encoding: Factory, tmp_path: Path) -> None:
    module = model(Droppable.of(encoding))
    trainer, served = trained(module, tmp_path, at_step=3, steps=5)
    assert served == [True] * 3 + [False] * 2
    assert same_as_without(module)
    saved = tmp_path / "dropped.ckpt"
    trainer.save_checkpoint(saved)
    restored = model(Droppable.of(encoding))
    assert not same_as_without(restored)
    restored.load_state_dict(torch.load(saved, weights_only=False)["state_dict"])
    assert same_as_without(restored)
    _, served = trained(model(Droppable.of(encoding)), tmp_path, 3, 7, ckpt_path=str(saved))
    assert served == [False] * 2


def test_a_part_of_a_chain_is_dropped(tmp_path: Path) -> None:
    module = model(Chain.of(Droppable.of(RoPE), NoPE))
    DropPositions(0).on_train_batch_start(L.Trainer(logger=False), module, None, 0)
    assert same_as_without(module)


def test_a_model_without_droppable_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="wrap it"):
        trained(model(RoPE), tmp_path, at_step=1, steps=2)
    with pytest.raises(ValueError, match="at_step"):
        DropPositions(-1)
