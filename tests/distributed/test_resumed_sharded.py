"""What several ranks stop for, together, and what a sharded run takes up from a checkpoint."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributed import get_rank

from lightning_posenc.callbacks import Diverged, Divergence, DropPositions, RunSummary
from lightning_posenc.data import Batch, StagedLengths
from lightning_posenc.mistakes.library_errors import explained
from lightning_posenc.modules import TokenClassifier
from lightning_posenc.positional import Chain, Droppable, LearnedAbsolute, NoPE, T5Bias
from lightning_posenc.runs.checkpoint_files import shapes
from lightning_posenc.training.resuming.sharded_loading import ShardedLoading
from tests.distributed.ranks import on_ranks
from tests.distributed.runs import Losses, data, model, strategy, trainer

pytestmark = pytest.mark.slow
STRATEGIES = ("ddp", "fsdp2")


class SpoiltOnOne(TokenClassifier):
    """The loss of the second rank alone is no number in the fourth step."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        spoils = get_rank() == 1 and self.trainer.global_step == 3
        return loss * torch.nan if spoils else loss


def diverging(root: Path) -> list[str]:
    """What each rank says."""
    said = []
    for name in STRATEGIES:
        module = model()
        module.__class__ = SpoiltOnOne
        folder = root / name
        folder.mkdir(exist_ok=True)
        callbacks = [RunSummary(), Divergence()]
        runner = trainer(folder, strategy(name, 2), 2, callbacks, log_every_n_steps=2, max_steps=9)
        try:
            runner.fit(module, data())
        except Diverged as error:
            said.append(str(error))
    return said


def test_ranks_stop_together(tmp_path: Path) -> None:
    """Kind 5: with the next look, though one of them sees nothing wrong, and none waits."""
    for said in on_ranks(diverging, tmp_path):
        assert len(said) == len(STRATEGIES)
        assert all("the loss is not finite at step 4" in line for line in said)
    for name in STRATEGIES:
        assert json.loads((tmp_path / name / "summary.json").read_text())["status"] == "diverged"


def dropping(
    root: Path, name: str, world_size: int, ckpt: Path | None = None, save: str = "", **more: Any
) -> list[float]:
    """Six steps of which the last four have no positions, or three of these from a checkpoint."""
    noted = Losses()
    module = model(
        partial(Droppable, encoding=partial(LearnedAbsolute, max_length=8)),
        seed=0 if ckpt is None else 1,
    )
    drops = [DropPositions(2)] if ckpt is None else []
    steps = 3 if save else 6
    runner = trainer(
        root,
        strategy(name, world_size, **more),
        world_size,
        [noted, *drops],
        max_steps=steps,
        max_epochs=100,
    )
    module.schedule = None
    stream = data(train_length=StagedLengths({0: 8, 16: 12}), val_length=8)
    runner.fit(module, stream, ckpt_path=ckpt, weights_only=False)
    if save:
        runner.save_checkpoint(root / save)
    (encoding,) = [part for part in module.modules() if isinstance(part, Droppable)]
    assert encoding.dropped
    return noted.losses


def drops(root: Path) -> dict[str, list[float]]:
    dropping(root, "fsdp2", 2, save="fsdp2.ckpt")
    dropping(root, "fsdp2", 2, save="parts.ckpt", save_distributed_checkpoint=True)
    return {
        "fsdp2 after one": dropping(root, "fsdp2", 2, root / "one.ckpt"),
        "fsdp2 after fsdp2": dropping(root, "fsdp2", 2, root / "fsdp2.ckpt"),
        "fsdp2 after parts": dropping(root, "fsdp2", 2, root / "parts.ckpt"),
        "ddp after fsdp2": dropping(root, "ddp", 2, root / "fsdp2.ckpt"),
        "ddp itself": dropping(root, "ddp", 2)[3:],
        "fsdp2 itself": dropping(root, "fsdp2", 2)[3:],
    }


def test_what_was_dropped_stays_dropped(tmp_path: Path) -> None:
    """F10, F12: under every strategy, from every checkpoint; no callback drops it again. What
    comes after the drop is longer than the table of 8.
    """
    dropping(tmp_path, "auto", 1, save="one.ckpt")
    whole = dropping(tmp_path, "auto", 1)
    found = on_ranks(drops, tmp_path)[0]
    found["one after fsdp2"] = dropping(tmp_path, "auto", 1, tmp_path / "fsdp2.ckpt")
    for name, losses in found.items():
        assert losses == pytest.approx(whole[3:], abs=1e-5), name


def misfits(root: Path) -> list[str]:
    """What is said of a longer table, of an encoding less, and of one more."""
    said = []
    longer, none = partial(LearnedAbsolute, max_length=16), NoPE
    more = Chain.of(partial(LearnedAbsolute, max_length=8), T5Bias)
    for name in ("one.ckpt", "parts.ckpt"):
        loads = ShardedLoading(shapes(root / name))
        for encoding in (longer, none, more, partial(LearnedAbsolute, max_length=8)):
            runner = trainer(root, strategy("fsdp2", 2), 2, [loads], max_steps=4, max_epochs=100)
            try:
                runner.fit(model(encoding), data(), ckpt_path=root / name, weights_only=False)
            except RuntimeError as error:
                said.append(explained(error) or "")
    return said


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    """F-G: before any rank waits for others, and also what Lightning would pass over."""
    learned = partial(LearnedAbsolute, max_length=8)
    one = trainer(tmp_path, max_steps=3, max_epochs=100)
    one.fit(model(learned), data())
    one.save_checkpoint(tmp_path / "one.ckpt")
    on_ranks(parts, tmp_path)
    key = "encoder.positional"
    expected = [
        f"{key}.table is [8, 16] there and [16, 16] here",
        f"it has {key}.table",
        f"it lacks {key}.parts.0.table",
    ]
    for said in on_ranks(misfits, tmp_path):
        assert len(said) == 6
        for line, start in zip(said, expected * 2, strict=True):
            assert start in line


def parts(root: Path) -> None:
    runner = trainer(
        root, strategy("fsdp2", 2, save_distributed_checkpoint=True), 2, max_steps=3, max_epochs=100
    )
    runner.fit(model(partial(LearnedAbsolute, max_length=8)), data())
    runner.save_checkpoint(root / "parts.ckpt")
