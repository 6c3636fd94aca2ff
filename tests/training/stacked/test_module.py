"""A stacked step is the step of each seed by itself, for every encoding; or it is refused."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import LanguageModel, TokenClassifier
from lightning_posenc.positional import LearnedAbsolute, PositionalEncoding
from lightning_posenc.positions import Consecutive
from lightning_posenc.training.stacked.clipping import clip
from lightning_posenc.training.stacked.module import StackedModule
from lightning_posenc.training.stacked.stack import Unstackable
from tests.cases import METHODS, Case
from tests.helpers import placed
from tests.training.stacked.seeds import (
    SeededBatches,
    alone,
    assert_same,
    seeded,
    together,
    weights,
)

DRAWS, UNMAPPED = "draws random numbers", "vmap does not map it"
REFUSED = {
    "laplacian": DRAWS,
    "rope-randomized": DRAWS,
    "rope-shifted": DRAWS,
    "rope-pose": DRAWS,
    "rope-jittered": DRAWS,
    "sinusoidal-jittered": DRAWS,
    "learned-grid": UNMAPPED,
    "swin-bias": UNMAPPED,
    "log-cpb": UNMAPPED,
    "liere": UNMAPPED,
}
FEW = {"learned-absolute", "t5", "rope-randomized", "liere"}
# Of Adam's first steps, which take a sign of every gradient, noise where that is 0: of sizes.
SGD = partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.1)

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step`"),
]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=() if case.name in FEW else pytest.mark.slow)
        for case in METHODS
    ],
)
def test_every_encoding(case: Case, tmp_path: Path) -> None:
    def module(seed: int) -> Any:
        options = {"positional": case.factory, "positions": case.positions(), "optimizer": SGD}
        return seeded(seed, causal=True, positional_weight_decay=0.2, **options)

    positions = placed(case)
    given = positions if positions.dim() > 2 and isinstance(case.positions(), Consecutive) else None
    data = [SeededBatches(seed, given) for seed in (0, 1)]
    if case.name in REFUSED:
        with pytest.raises(Unstackable, match=REFUSED[case.name]):
            together(tmp_path, [module(0), module(1)], data)
        return
    stacked, _ = together(tmp_path, [module(0), module(1)], data)
    for seed in (0, 1):
        expected = module(seed)
        alone(tmp_path, expected, data[seed])
        assert_same(weights(stacked.stack.modules[seed]), weights(expected))


@pytest.mark.parametrize("options", [
    {"gradient_clip_val": 0.05},
    {"gradient_clip_val": 0.001, "gradient_clip_algorithm": "value"},
    {"accumulate_grad_batches": 2},
], ids=lambda options: next(reversed(options)))  # fmt: skip
def test_options_of_the_trainer(options: dict[str, Any], tmp_path: Path) -> None:
    """Also that groups have their own rates and decays, and idle parameters stay as they are."""
    rates = {"positional_lr_multiplier": 3.0, "layer_decay": 0.5, "positional": LearnedAbsolute}
    data = [SeededBatches(seed) for seed in range(3)]
    modules = [seeded(seed, optimizer=SGD, **rates) for seed in range(3)]
    together(tmp_path, modules, data, **options)
    for seed, module in enumerate(modules):
        expected = seeded(seed, optimizer=SGD, **rates)
        alone(tmp_path, expected, data[seed], **options)
        assert_same(weights(module), weights(expected))


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_gradients_are_clipped_by_seed(algorithm: str) -> None:
    sizes = torch.tensor([0.01, 1.0, 100.0])  # the first is not clipped at all
    gradients = [torch.randn(3, *shape) for shape in ((4, 2), (5,), ())]
    gradients = [each * sizes.view(3, *[1] * (each.dim() - 1)) for each in gradients]
    expected = []
    for seed in range(3):
        owners = [nn.Parameter(torch.zeros(each.shape[1:])) for each in gradients]
        for owner, gradient in zip(owners, gradients, strict=True):
            owner.grad = gradient[seed].clone()
        (clip_grad_norm_ if algorithm == "norm" else clip_grad_value_)(owners, 1.0)
        expected.append([owner.grad for owner in owners])
    clip(gradients, 1.0, algorithm)
    for number, gradient in enumerate(gradients):
        for seed in range(3):
            torch.testing.assert_close(gradient[seed], expected[seed][number])


def test_metrics_of_each_seed(tmp_path: Path) -> None:
    data = [SeededBatches(seed) for seed in (0, 1)]
    _, trainer = together(
        tmp_path, [seeded(0), seeded(1)], data, limit_val_batches=2, log_every_n_steps=1
    )
    for seed in (0, 1):
        single = alone(tmp_path, seeded(seed), data[seed], limit_val_batches=2, log_every_n_steps=1)
        found = {
            name[2:]: value
            for name, value in trainer.callback_metrics.items()
            if name.startswith(f"{seed}/")
        }
        assert found.keys() == single.callback_metrics.keys() >= {"val/loss", "val/acc"}
        for name, value in single.callback_metrics.items():
            torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-5, equal_nan=True)


def test_a_seed_that_diverges_is_left_behind(tmp_path: Path) -> None:
    modules = [seeded(seed, optimizer=SGD) for seed in range(3)]
    with torch.no_grad():
        modules[1].head.weight[0, 0] = 1e38
        modules[1].head.weight[1, 0] = -1e38
    data = [SeededBatches(seed) for seed in range(3)]
    stacked, trainer = together(tmp_path, modules, data, limit_val_batches=1)
    assert stacked.alive == [True, False, True]
    assert "0/val/loss" in trainer.callback_metrics
    assert "1/val/loss" not in trainer.callback_metrics
    expected = seeded(2, optimizer=SGD)
    alone(tmp_path, expected, data[2])
    assert_same(weights(modules[2]), weights(expected))
    modules[0].head.bias.data[1] = torch.inf  # of which only a checkpoint takes notice
    stacked.leave_behind()
    assert stacked.alive[0]
    stacked.leave_behind(by_weights=True)
    assert stacked.alive == [False, False, True]


class DrawnAtItsMaking(PositionalEncoding):
    """Keeps numbers that no stack sees: neither a parameter nor a buffer."""

    def __init__(self, dims: Any) -> None:
        super().__init__(dims)
        self.drawn = torch.randn(dims.d_model)

    def embed(self, x: Tensor, *told: Any) -> Tensor:
        return x + self.drawn


class OwnStep(TokenClassifier):
    """Does something of its own after each gradient."""

    def on_after_backward(self) -> None:
        self.head.weight.grad = None


class OwnMask(LanguageModel):
    """Hides tokens, drawn anew in every step."""

    def __init__(self, encoder: EncoderSpec, vocab_size: int, n_classes: int, **options: Any):
        super().__init__(encoder, vocab_size, objective="masked", **options)


@pytest.mark.parametrize(("reason", "options"), [
    (DRAWS, {"encoder": EncoderSpec(32, 4, 2, dropout=0.1)}),
    (DRAWS, {"make": OwnMask}),
    ("changes encoder", {"encoder": EncoderSpec(32, 4, 2, sigma_reparam=True)}),
    ("differs by .* from that of a single run", {"positional": DrawnAtItsMaking}),
    ("has a on_after_backward of its own", {"make": OwnStep}),
    ("compile", {"compile": True}),
    ("ReduceLROnPlateau goes by the losses", {"schedule": ReduceLROnPlateau}),
    ("optimizer=Adafactor looks at whole", {"optimizer": torch.optim.Adafactor}),
    ("does not step stacked weights", {"optimizer": torch.optim.LBFGS}),
    ("does not step stacked weights", {"optimizer": partial(torch.optim.Muon, lr=0.01)}),
], ids=lambda value: value if isinstance(value, str) else "")  # fmt: skip
def test_what_cannot_be_stacked_is_refused(
    reason: str, options: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(Unstackable, match=reason) as refusal:
        together(
            tmp_path,
            [seeded(seed, **options) for seed in (0, 1)],
            [SeededBatches(seed) for seed in (0, 1)],
            limit_val_batches=1,
        )
    assert "\n" not in str(refusal.value)


def test_batches_of_other_shapes_are_refused(tmp_path: Path) -> None:
    data = [SeededBatches(0, length=6), SeededBatches(1, length=7)]
    with pytest.raises(Unstackable, match="different shapes"):
        together(tmp_path, [seeded(0), seeded(1)], data)


def test_data_of_other_lengths_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unstackable, match="different numbers of batches"):
        together(tmp_path, [seeded(0), seeded(1)], [SeededBatches(0), SeededBatches(1, n=3)])


def test_models_of_other_sizes_are_refused() -> None:
    wide = EncoderSpec(d_model=64, n_heads=4, n_layers=2)
    with pytest.raises(Unstackable, match="not of one class and size"):
        StackedModule([seeded(0), seeded(1, encoder=wide)])


def test_other_precisions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unstackable, match="precision=bf16-true"):
        together(
            tmp_path,
            [seeded(0), seeded(1)],
            [SeededBatches(0), SeededBatches(1)],
            precision="bf16-true",
        )
