"""A model without position must fail where one with position learns."""

from functools import partial

import pytest
import torch

from lightning_posenc.data import SyntheticData
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import SequenceClassifier, TokenClassifier
from lightning_posenc.positional import Factory, LearnedAbsolute, NoPE, RoPE, T5Bias
from lightning_posenc.tasks import Order, PositionPattern, Reverse, Shift, Task

N_EVAL = 1024
SEQUENCE_TASKS = [PositionPattern(n_symbols=4), Order(n_symbols=4)]
TOKEN_TASKS = [Shift(n_symbols=4), Reverse(n_symbols=4)]


def accuracy_after_training(task: Task, positional: Factory, steps: int = 250) -> float:
    data = SyntheticData(task, 12, batch_size=64, steps_per_epoch=steps, eval_samples=N_EVAL)
    spec = EncoderSpec(d_model=32, n_heads=4, n_layers=2)
    kind = SequenceClassifier if task.kind == "sequence" else TokenClassifier
    model = kind(spec, data.vocab_size, data.n_classes, positional=positional)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for i, batch in enumerate(data.train_dataloader()):
        loss, _, _ = model.score(batch, i)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    right = scored = 0
    model.eval()
    with torch.no_grad():
        for batch in data.test_dataloader()[0]:
            counted = batch.targets >= 0
            right += int((counted & (model.predict_step(batch, 0) == batch.targets)).sum())
            scored += int(counted.sum())
    return right / scored


@pytest.mark.parametrize(
    "task",
    [
        SEQUENCE_TASKS[0],
        pytest.param(SEQUENCE_TASKS[1], marks=pytest.mark.slow),
        pytest.param(TOKEN_TASKS[0], marks=pytest.mark.slow),
        pytest.param(TOKEN_TASKS[1], marks=pytest.mark.slow),
    ],
    ids=lambda task: type(task).__name__,
)
def test_without_position_the_bound_holds(task: Task) -> None:
    bound = task.bag_of_tokens_bound(12)
    noise = 4 * (bound * (1 - bound) / N_EVAL) ** 0.5
    assert accuracy_after_training(task, NoPE, steps=120) <= bound + noise


@pytest.mark.parametrize(
    ("task", "positional"),
    [
        (SEQUENCE_TASKS[0], partial(LearnedAbsolute, max_length=12)),
        pytest.param(
            SEQUENCE_TASKS[1], partial(LearnedAbsolute, max_length=12), marks=pytest.mark.slow
        ),
        pytest.param(TOKEN_TASKS[0], RoPE, marks=pytest.mark.slow),
        pytest.param(TOKEN_TASKS[0], T5Bias, marks=pytest.mark.slow),
        pytest.param(
            TOKEN_TASKS[1], partial(LearnedAbsolute, max_length=12), marks=pytest.mark.slow
        ),
    ],
    ids=["PositionPattern", "Order", "Shift-RoPE", "Shift-T5", "Reverse"],
)
def test_with_position_it_learns(task: Task, positional: Factory) -> None:
    bound = task.bag_of_tokens_bound(12)
    assert accuracy_after_training(task, positional) >= (1 + bound) / 2
