"""A run of several ranks goes on with the random numbers of each as if it had not stopped."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from lightning_posenc.callbacks import RandomState
from tests.distributed import runs
from tests.distributed.ranks import on_ranks

HALF = runs.STEPS // 2


class KeepHalf(L.Callback):
    """Saves a checkpoint in the middle."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == HALF:
            trainer.save_checkpoint(self.path)


def losses(root: Path, resumes: bool) -> list[float]:
    """The losses of a run with dropout, of which a rank's draws depend on its batch's width."""
    noted = runs.Losses()
    watch = [noted, RandomState(), *([] if resumes else [KeepHalf(root / "half.ckpt")])]
    module = runs.model(wiring={"dropout": 0.3})
    runner = runs.trainer(root, "ddp", 2, watch)
    # What a resumed process draws before it trains is no concern of the run's.
    torch.randn(7) if resumes else None
    options = {"ckpt_path": root / "half.ckpt", "weights_only": False} if resumes else {}
    runner.fit(module, runs.data(), **options)
    return noted.losses


@pytest.mark.slow
def test_resumed_ranks_draw_what_they_would_have_drawn(tmp_path: Path) -> None:
    """Review 5: ranks above 0 once drew others after a restart."""
    whole = on_ranks(losses, tmp_path, False)
    rest = on_ranks(losses, tmp_path, True)
    for rank in range(2):
        assert rest[rank] == whole[rank][HALF:]
