"""Blocks begin to learn from the last to the first, in one process and in several."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import nn

from lightning_posenc.callbacks import GradualUnfreezing
from tests.distributed.ranks import on_ranks
from tests.distributed.runs import Losses, data, model, strategy, trainer


class Moved(L.Callback):
    """Which parts have changed in each epoch."""

    def __init__(self) -> None:
        self.by_epoch: list[set[str]] = []
        self._before: dict[str, torch.Tensor] = {}

    def on_train_epoch_start(self, trainer: Any, pl_module: nn.Module) -> None:
        self._before = {name: p.detach().clone() for name, p in pl_module.named_parameters()}

    def on_train_epoch_end(self, trainer: Any, pl_module: nn.Module) -> None:
        parts = ("embedding", "blocks.0", "blocks.1", "head")
        self.by_epoch.append(
            {
                part
                for name, p in pl_module.named_parameters()
                for part in parts
                if part in name and not torch.equal(p, self._before[name])
            }
        )


def run(root: Path, epochs: int, **options: Any) -> list[set[str]]:
    moved = Moved()
    runner = trainer(
        root,
        callbacks=[GradualUnfreezing(**options), moved],
        max_steps=-1,
        max_epochs=epochs,
    )
    runner.fit(model(), data(steps_per_epoch=2, eval_samples=8))
    return moved.by_epoch


def test_one_block_more_every_so_many_epochs(tmp_path: Path) -> None:
    assert run(tmp_path, 4) == [
        {"blocks.1", "head"},
        {"blocks.0", "blocks.1", "head"},
        {"embedding", "blocks.0", "blocks.1", "head"},
        {"embedding", "blocks.0", "blocks.1", "head"},
    ]
    assert run(tmp_path, 3, at_first=2, every_n_epochs=2) == [
        {"blocks.0", "blocks.1", "head"},
        {"blocks.0", "blocks.1", "head"},
        {"embedding", "blocks.0", "blocks.1", "head"},
    ]


class Saves(L.Callback):
    """Writes a checkpoint after so many steps, within an epoch."""

    def __init__(self, path: Path, step: int) -> None:
        self.path, self.step = path, step

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


def curve(root: Path, steps: int, ckpt: Path | None, name: str = "auto", ranks: int = 1) -> Any:
    """The losses of the steps; a checkpoint is kept after the third."""
    noted, saves = Losses(), Saves(root / f"{name}.ckpt", 3)
    runner = trainer(
        root,
        strategy(name, ranks),
        ranks,
        [GradualUnfreezing(), noted, saves],
        max_steps=steps,
        max_epochs=10,
    )
    module = model(layer_decay=0.5)
    module.schedule = None
    runner.fit(module, data(steps_per_epoch=2), ckpt_path=ckpt, weights_only=False)
    return noted.losses


def test_a_resumed_run_goes_on_as_it_would_have(tmp_path: Path) -> None:
    whole = curve(tmp_path, 7, None)
    assert curve(tmp_path, 7, tmp_path / "auto.ckpt") == whole[3:]


@pytest.mark.parametrize(
    "name",
    [pytest.param("ddp", marks=pytest.mark.slow), pytest.param("fsdp2", marks=pytest.mark.long)],
)
def test_ranks_stay_one_model(name: str, tmp_path: Path) -> None:
    """DDP averages no gradient of what was frozen when it was made."""
    alone = curve(tmp_path, 6, None)
    for losses in on_ranks(curve, tmp_path, 6, None, name, 2):
        assert losses == pytest.approx(alone, abs=1e-5)


def test_mistakes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="every_n_epochs=0"):
        GradualUnfreezing(every_n_epochs=0)
    with pytest.raises(ValueError, match="at_first=0"):
        GradualUnfreezing(at_first=0)

    class Other(L.LightningModule):
        pass

    with pytest.raises(ValueError, match="Other does not say what its blocks are"):
        GradualUnfreezing().setup(trainer(tmp_path), Other(), "fit")
