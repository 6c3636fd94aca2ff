"""F6: all that a model draws goes on through validations, looks and restarts."""

import inspect
import re
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import nn

from lightning_posenc import positions
from lightning_posenc.callbacks import AttentionStatistics, RandomState
from lightning_posenc.data import SyntheticData
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import SequenceClassifier
from lightning_posenc.modules.generators import random_state, set_random_state
from lightning_posenc.positional import ALiBi, Factory, RoPE
from lightning_posenc.positions import (
    Abacus,
    Jittered,
    PoSE,
    PositionCoupling,
    Positions,
    RandomDistances,
    Randomized,
    Shifted,
)
from lightning_posenc.tasks import PositionPattern

# All that draw numbers.
DRAWS: dict[str, tuple[Any, Factory]] = {
    "Randomized": (partial(Randomized, 64), RoPE),
    "Randomized, seeded": (partial(Randomized, 64, seed=1), RoPE),
    "Randomized, each sequence": (partial(Randomized, 64, per_sequence=True, seed=1), RoPE),
    "Shifted": (partial(Shifted, 32), RoPE),
    "Jittered": (Jittered, RoPE),
    "Abacus": (partial(Abacus, [1, 2, 3]), RoPE),
    "PoSE": (partial(PoSE, 32), RoPE),
    "PositionCoupling": (PositionCoupling, RoPE),
    "RandomDistances": (partial(RandomDistances, 64), ALiBi),
}


def run(
    name: str, root: Path, steps: int = 8, ckpt_path: Path | None = None, *more: Any, **options: Any
) -> tuple[L.Trainer, torch.Tensor]:
    sampler, positional = DRAWS[name]
    torch.manual_seed(0)
    module = SequenceClassifier(
        EncoderSpec(16, 2, 1, dropout=0.1),
        PositionPattern().vocab_size,
        4,
        positional=positional,
        positions=sampler(),
    )
    trainer = L.Trainer(
        accelerator="cpu", max_steps=steps, callbacks=[RandomState(), *more], logger=False,
        default_root_dir=root, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, use_distributed_sampler=False,
        **{"limit_val_batches": 0, "val_check_interval": 3} | options,
    )  # fmt: skip
    data = SyntheticData(
        PositionPattern(), train_length=8, batch_size=4, steps_per_epoch=8, eval_samples=8
    )
    trainer.fit(module, data, ckpt_path=ckpt_path, weights_only=False)
    return trainer, torch.cat([p.detach().flatten() for p in module.parameters()])


def test_the_table_names_every_sampler_that_draws() -> None:
    drawn = set()
    for name in positions.__all__:
        kind = getattr(positions, name)
        if isinstance(kind, type) and issubclass(kind, Positions):
            source = inspect.getsource(inspect.getmodule(kind) or kind)
            if re.search(r"\b(torch\.rand|random_subset)", source):
                drawn.add(name)
    named = {getattr(sampler, "func", sampler).__name__ for sampler, _ in DRAWS.values()}
    assert drawn == named


DEFAULT = ("RandomDistances",)
EACH = [pytest.param(n, marks=() if n in DEFAULT else pytest.mark.slow, id=n) for n in DRAWS]


@pytest.mark.parametrize("name", EACH)
def test_looks_validations_and_restarts_change_nothing(name: str, tmp_path: Path) -> None:
    _, whole = run(name, tmp_path)
    _, watched = run(name, tmp_path, 8, None, AttentionStatistics(2, 2), limit_val_batches=2)
    assert torch.equal(watched, whole)
    half, _ = run(name, tmp_path, 4, max_epochs=1)
    half.save_checkpoint(tmp_path / "half.ckpt")
    _, resumed = run(name, tmp_path, 8, tmp_path / "half.ckpt")
    assert not torch.equal(
        half.model.head.weight.flatten(), whole[-64:]
    )  # there was something left
    assert torch.equal(resumed, whole)


def test_generators_of_modules_are_found_wherever_they_are() -> None:
    """A user's own too."""

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.source = torch.Generator().manual_seed(3)

    model = nn.Sequential(Own(), nn.Sequential(Own()))
    state = random_state(model)
    assert sorted(state["modules"]) == ["0.source", "1.0.source"]
    first = [torch.rand(2, generator=part.source) for part in (model[0], model[1][0])]
    set_random_state(model, state)
    again = [torch.rand(2, generator=part.source) for part in (model[0], model[1][0])]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
