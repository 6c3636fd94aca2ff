"""What keeps learned positions in check: dropped vectors and smooth tables."""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_posenc import Dims
from lightning_posenc.data import Batch
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import SequenceClassifier
from lightning_posenc.positional import (
    Absolute,
    Chain,
    ComplexEmbedding,
    Concatenated,
    LearnableFourier,
    LearnableFrequencies,
    LearnedAbsolute,
    LearnedGrid,
    LearnedRelativeBias,
    NoPE,
    PerLayer,
    PositionalEncoding,
    RoPE,
    Sinusoidal,
)

DIMS = Dims(16, 2, 2)
ABSOLUTE: list[Callable[..., Absolute]] = [
    Sinusoidal,
    LearnedAbsolute,
    LearnableFrequencies,
    LearnableFourier,
    ComplexEmbedding,
    Concatenated,
    LearnedGrid,
]
each_absolute = pytest.mark.parametrize("encoding", ABSOLUTE)


def positions_of(encoding: PositionalEncoding, length: int) -> Tensor:
    positions = torch.arange(1, length + 1).unsqueeze(0)
    if isinstance(encoding, LearnedGrid):
        return torch.stack([positions // 8, positions % 8], dim=-1)
    return positions


@each_absolute
def test_dropout_takes_whole_tokens_and_keeps_the_mean(encoding: type[Absolute]) -> None:
    """A dropped token is as if it had no position; the change of the others grows."""
    p = 0.25
    made = encoding(DIMS, dropout=p)
    x = torch.randn(4000, 6, 16)
    positions = positions_of(made, 6)
    out = made.embed(x, positions, 0) - x
    whole = made.eval().embed(x, positions, 0) - x
    dropped = (out.abs() < 1e-5).all(dim=-1)
    assert dropped.float().mean() == pytest.approx(p, abs=0.02)
    torch.testing.assert_close(out[~dropped], whole[~dropped] / (1 - p), rtol=1e-4, atol=1e-4)
    assert dropped.any(0).all()  # each token by itself
    assert (dropped != dropped[:1]).any()  # and each sequence
    assert 0.3 < dropped[:, 0].eq(dropped[:, 1]).float().mean() < 0.7  # p² + (1 - p)² = 0.625


@each_absolute
def test_no_dropout_outside_of_training(encoding: type[Absolute]) -> None:
    torch.manual_seed(1)
    with_dropout = encoding(DIMS, dropout=0.9).eval()
    torch.manual_seed(1)
    without = encoding(DIMS)
    x = torch.randn(2, 6, 16)
    positions = positions_of(without, 6)
    assert torch.equal(with_dropout.embed(x, positions, 0), without.embed(x, positions, 0))


@each_absolute
@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_dropout_is_a_probability(encoding: type[Absolute], dropout: float) -> None:
    with pytest.raises(ValueError, match=rf"dropout={dropout} must be a number in \[0, 1\)"):
        encoding(DIMS, dropout=dropout)


def differences(rows: Any) -> float:
    """Mean squared norm of the difference of neighbouring rows, in a loop."""
    steps = [
        sum((float(b) - float(a)) ** 2 for a, b in zip(one, other, strict=True))
        for one, other in pairwise(rows)
    ]
    return math.fsum(steps) / len(steps) if steps else 0.0


def of_table(table: Any) -> float:
    return differences(table)


def of_grid(table: Any) -> float:
    down = [differences(table[:, column]) for column in range(table.shape[1])]
    right = [differences(table[row]) for row in range(table.shape[0])]
    return float(np.mean(down) + np.mean(right))


def of_bias(table: Any) -> float:
    layers = table if table.ndim == 3 else table[None]
    return float(np.mean([differences(layer.T) for layer in layers]))


@pytest.mark.parametrize(
    ("factory", "oracle"),
    [
        (partial(LearnedAbsolute, max_length=9), of_table),
        (partial(LearnedAbsolute, max_length=1), of_table),
        (partial(LearnedGrid, height=3, width=5), of_grid),
        (partial(LearnedGrid, height=1, width=5), of_grid),
        (partial(LearnedRelativeBias, max_distance=4), of_bias),
        (partial(LearnedRelativeBias, max_distance=4, shared=True), of_bias),
        (lambda dims, **how: Concatenated(dims, partial(LearnedAbsolute, **how)), of_table),
    ],
)
def test_smoothness_equals_plain_loops(
    factory: Callable[..., PositionalEncoding], oracle: Callable[[Any], float]
) -> None:
    encoding = factory(DIMS, smoothness=0.3)
    ((name, table),) = [each for each in encoding.named_parameters() if each[0].endswith("table")]
    penalty = encoding.penalty()
    assert penalty is not None
    assert penalty.item() == pytest.approx(0.3 * oracle(table.detach().double().numpy()), rel=1e-5)
    penalty.backward()
    assert table.grad is not None
    assert table.grad.isfinite().all()
    assert encoding.bfloat16().penalty().dtype == torch.float32  # type: ignore[union-attr]
    assert factory(DIMS).penalty() is None, name


@pytest.mark.parametrize("encoding", [LearnedAbsolute, LearnedGrid, LearnedRelativeBias])
def test_smoothness_is_not_negative(encoding: Callable[..., PositionalEncoding]) -> None:
    with pytest.raises(ValueError, match=r"smoothness=-1\.0 must be a number in \[0, "):
        encoding(DIMS, smoothness=-1.0)


def test_smoothness_does_not_grow_with_the_length() -> None:
    short, long = (
        LearnedAbsolute(DIMS, max_length=length, smoothness=1.0).penalty().item()  # type: ignore[union-attr]
        for length in (1000, 8000)
    )
    assert short == pytest.approx(long, rel=0.1)
    assert short == pytest.approx(2 * 16, rel=0.1)  # E|a - b|² of unit normals in 16 channels


def test_composites_sum_their_parts_penalties() -> None:
    absolute = partial(LearnedAbsolute, max_length=9, smoothness=0.5)
    relative = partial(LearnedRelativeBias, max_distance=4, smoothness=2.0)
    for made in (Chain(DIMS, [absolute, RoPE, relative]), PerLayer(DIMS, [absolute, relative])):
        parts = [part.penalty() for part in made.encodings]
        total = made.penalty()
        assert total is not None
        assert total.item() == pytest.approx(sum(p.item() for p in parts if p is not None))
        assert total.item() > max(p.item() for p in parts if p is not None)
    assert Chain(DIMS, [RoPE, NoPE]).penalty() is None
    assert PerLayer(DIMS, [RoPE, NoPE]).penalty() is None


class OneStep(L.Callback):
    """Keeps the loss of the only step, and the gradients that it left."""

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *rest: Any) -> None:
        self.loss = outputs["loss"].item()
        self.logged = dict(trainer.callback_metrics)

    def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
        self.grad = module.positional.table.grad.clone()


def one_step(smoothness: float) -> tuple[OneStep, SequenceClassifier]:
    torch.manual_seed(0)
    model = SequenceClassifier(
        EncoderSpec(d_model=16, n_heads=2, n_layers=1),
        5,
        4,
        positional=partial(LearnedAbsolute, max_length=8, smoothness=smoothness),
        optimizer=partial(torch.optim.SGD, lr=0.0),  # the table stays
    )
    data = [Batch(torch.arange(8).view(1, 8) % 5, torch.tensor([1]))]
    seen = OneStep()
    L.Trainer(
        max_steps=1,
        limit_val_batches=0,
        accelerator="cpu",
        logger=False,
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[seen],
    ).fit(model, *2 * [DataLoader(data, batch_size=None)])
    return seen, model


def test_training_adds_the_penalty_to_the_loss_and_logs_both() -> None:
    plain, model = one_step(0.0)
    smooth, _ = one_step(0.7)
    table = model.positional.get_parameter("table").detach().requires_grad_()
    penalty = 0.7 * table.diff(dim=0).square().sum(dim=1).mean()
    (grad,) = torch.autograd.grad(penalty, table)
    assert smooth.loss == pytest.approx(plain.loss + penalty.item(), rel=1e-5)
    torch.testing.assert_close(smooth.grad, plain.grad + grad, rtol=1e-4, atol=1e-5)
    assert smooth.logged["train/penalty"].item() == pytest.approx(penalty.item(), rel=1e-5)
    assert smooth.logged["train/loss"].item() == pytest.approx(plain.loss, rel=1e-5)
    assert "train/penalty" not in plain.logged
