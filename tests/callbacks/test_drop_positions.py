"""DropPositions: the step, the checkpoint, and the model that nothing can be dropped from."""

from functools import partial
from pathlib import Path
from typing import cast

import lightning as L
import pytest
import torch
from torch.optim import AdamW

from lightning_posenc import Dims, Encoder
from lightning_posenc.callbacks import DropPositions
from lightning_posenc.data import SyntheticData
from lightning_posenc.model import EncoderSpec
from lightning_posenc.model.cache import Cache
from lightning_posenc.modules import SequenceClassifier
from lightning_posenc.positional import (
    Chain,
    Droppable,
    LearnedAbsolute,
    NoPE,
    RoPE,
)
from lightning_posenc.positional.base import Factory
from lightning_posenc.positional.rotary.scaling import DynamicNTK
from lightning_posenc.tasks import PositionPattern

SPEC = EncoderSpec(d_model=16, n_heads=2, n_layers=2, init_std=0.2)
VOCAB_SIZE = PositionPattern().vocab_size
TABLE = "encoder.positional.parts.0.table"


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
    module: SequenceClassifier,
    root: Path,
    at_step: int,
    steps: int,
    ckpt_path: str | None = None,
    strategy: str = "auto",
) -> tuple[L.Trainer, list[bool]]:
    noted = DroppedAt()
    trainer = L.Trainer(
        accelerator="cpu",
        devices=1,
        strategy=strategy,
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


def test_a_dropped_encoding_refuses_and_asks_for_nothing() -> None:
    """F12: no table's end, no cache's doubt, no penalty; and old checkpoints remember the drop."""
    rows = partial(LearnedAbsolute, max_length=8, smoothness=1.0)
    changing = partial(RoPE, scaling=DynamicNTK(2, 8))
    for encoding in (rows, changing):
        model = Encoder(Dims(32, 4, 1, causal=True), Droppable.of(encoding)).eval()
        positional = cast(Droppable, model.positional)
        positional.drop()
        x, positions = torch.randn(1, 16, 32), torch.arange(16)[None]
        assert positional.penalty() is None
        torch.testing.assert_close(
            model(x, positions=positions), model(x, positions=positions, cache=Cache())
        )
        old = {k: v for k, v in model.state_dict().items() if k != "positional.flag"}
        old["positional._extra_state"] = {"dropped": True}
        again = Encoder(Dims(32, 4, 1, causal=True), Droppable.of(encoding)).eval()
        again.load_state_dict(old)
        assert torch.equal(again(x), model(x))


def test_what_is_dropped_stays_as_it_was_under_ddp_too(tmp_path: Path) -> None:
    """F10: DDP waits for every gradient; and neither momentum nor decay moves a dropped table."""
    tables = []
    for strategy in ("auto", "ddp"):
        torch.manual_seed(0)
        module = model(Droppable.of(LearnedAbsolute))
        at_drop, _ = trained(module, tmp_path, at_step=2, steps=2, strategy=strategy)
        at_drop.save_checkpoint(tmp_path / "two.ckpt")
        before = torch.load(tmp_path / "two.ckpt", weights_only=False)["state_dict"]
        _, served = trained(
            module, tmp_path, 2, 6, ckpt_path=str(tmp_path / "two.ckpt"), strategy=strategy
        )
        assert served == [False] * 4
        after = module.state_dict()
        assert torch.equal(before[TABLE], after[TABLE])
        assert not torch.equal(before["head.weight"], after["head.weight"])
        tables.append(after["head.weight"])
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    torch.testing.assert_close(*tables)  # DDP's gradients lie elsewhere: threads sum them otherwise
