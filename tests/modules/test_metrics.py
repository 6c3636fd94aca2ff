"""Metrics keep count in wide numbers, whatever the precision of the model (fault B1)."""

import copy
from collections.abc import Callable
from typing import Any, cast

import lightning as L
import pytest
import torch
from lightning.pytorch.plugins.precision import HalfPrecision
from torch import Tensor
from torch.utils.data import DataLoader
from torchmetrics import MeanMetric, Metric

from lightning_posenc.data import Batch
from lightning_posenc.diagnostics.metric_keys import Key
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import LanguageModel, SequenceClassifier, TokenClassifier
from lightning_posenc.modules.base import EncoderModule
from lightning_posenc.modules.loss import cross_entropy
from lightning_posenc.modules.metrics import WideMetrics
from lightning_posenc.modules.weighted_mean import WeightedMean
from lightning_posenc.positional import RoPE
from lightning_posenc.training.summary import directions

SPEC = EncoderSpec(d_model=16, n_heads=2, n_layers=1)
CPU = torch.device("cpu")
WIDE = (torch.float32, torch.float64)
N_BATCHES = 300  # a sum in bfloat16 stops at 256 terms


class Half(Metric):
    """A metric of somebody's own that asks for half precision."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.bfloat16))

    def update(self, predictions: Tensor, targets: Tensor) -> None: ...

    def compute(self) -> Tensor:
        return torch.ones(())


def states(metrics: torch.nn.Module) -> list[Tensor]:
    """All states of all metrics that are no counts."""
    made = [m for m in metrics.modules() if isinstance(m, Metric)]
    assert made
    values = [v for m in made for v in m.metric_state.values() if isinstance(v, Tensor)]
    return [v for v in values if v.is_floating_point()]


def classifier() -> SequenceClassifier:
    torch.manual_seed(0)
    return SequenceClassifier(SPEC, 5, 3, positional=RoPE)


def trainer(precision: Any) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        precision=precision,
        max_steps=2,
        limit_train_batches=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
@pytest.mark.slow
def test_validation_under_half_precision_is_that_of_the_same_weights(precision: Any) -> None:
    """B1: the mean over 300 batches, of a fit and after it; it was 2.0 for 1.39."""
    torch.manual_seed(0)
    samples = [Batch(torch.randint(5, (2, 6)), torch.randint(3, (2,))) for _ in range(N_BATCHES)]
    data: DataLoader = DataLoader(samples, batch_size=None)  # type: ignore[arg-type]
    model = classifier()
    half = trainer(precision)
    seen = [half.validate(model, data, verbose=False)[0]]
    if precision == "bf16-true":  # AdamW's eps is 0 in float16
        half.fit(model, data, data)
        seen = [half.callback_metrics, half.validate(model, data, verbose=False)[0]]
    for found in seen:
        exact = copy.deepcopy(model).float()
        expected = trainer("32-true").validate(exact, data, verbose=False)[0]
        assert float(found["val/loss"]) == pytest.approx(expected["val/loss"], rel=0.01)
        assert float(found["val/acc"]) == pytest.approx(expected["val/acc"], abs=0.02)
    assert [value.dtype for value in states(model.metrics["val"])] == [torch.float32] * 2


MODULES: dict[str, Callable[[], EncoderModule]] = {
    "SequenceClassifier": classifier,
    "TokenClassifier": lambda: TokenClassifier(SPEC, 5, 5),
    "LanguageModel": lambda: LanguageModel(SPEC, 5),
    "masked": lambda: LanguageModel(SPEC, 5, objective="masked", mask_share=0.5),
}


@pytest.mark.parametrize("name", MODULES)
def test_no_metric_of_any_module_is_in_half_precision(name: str) -> None:
    """Made and updated while half precision is torch's default, cast with the model, computed."""
    plugin = HalfPrecision("bf16-true")
    model = plugin.convert_module(MODULES[name]().eval())
    tokens = torch.randint(5, (4, 8))
    targets = tokens[:, 0] % 3 if name == "SequenceClassifier" else tokens
    exact = copy.deepcopy(model).float()
    with plugin.forward_context():
        model._evaluate(Key("", "val"), Batch(tokens, targets), 0)
        model = model.to(torch.bfloat16)
        model._evaluate(Key("", "val"), Batch(tokens, targets), 0)
        values = model.metrics["val"].compute()
    exact._evaluate(Key("", "val"), Batch(tokens, targets), 0)
    expected = exact.metrics["val"].compute()
    assert all(value.dtype in WIDE for value in states(model.metrics))
    assert values.keys() == expected.keys()
    for key, value in values.items():
        if not value.is_floating_point():
            continue  # counts are whole
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, expected[key], rtol=0.02, atol=0.02)


def test_double_precision_counts_in_double_precision() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        metrics = WideMetrics(lambda: {"loss": MeanMetric()}, CPU)
        metrics["loss"].update(torch.tensor(1 / 3, dtype=torch.float64))
        assert metrics.compute()["loss"].item() == 1 / 3
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_state_in_half_precision_is_refused() -> None:
    with pytest.raises(ValueError, match=r"metric mine: its state total is torch\.bfloat16"):
        WideMetrics(lambda: {"mine": Half()}, CPU)


def test_a_loss_that_is_not_a_number_is_seen() -> None:
    model = classifier().eval()
    with torch.no_grad():
        model.head.weight.fill_(torch.nan)
    model._evaluate(Key("", "val"), Batch(torch.randint(5, (4, 8)), torch.randint(3, (4,))), 0)
    assert cast(WideMetrics, model.metrics["val"]).compute()["loss"].isnan()


def test_metrics_go_where_the_model_goes() -> None:
    metrics = WideMetrics(lambda: {"loss": MeanMetric()}, CPU).to("meta")
    assert {value.device.type for value in states(metrics)} == {"meta"}


def test_a_loss_is_a_mean_in_float32() -> None:
    logits, targets = torch.randn(200, 7).bfloat16(), torch.randint(7, (200,))
    loss = cross_entropy(logits, targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, cross_entropy(logits.double(), targets).float())


def test_a_mean_loss_counts_every_target_alike() -> None:
    """torchmetrics' MeanMetric(nan_strategy="disable") takes no weights: ranks and short batches
    with few targets counted as much as full ones.
    """
    mean = WeightedMean()
    mean.update(torch.tensor(1.0), torch.tensor(30))
    mean.update(torch.tensor(4.0), torch.tensor(10))
    assert mean.compute() == pytest.approx(1.75)
    mean.update(torch.tensor(torch.nan), torch.tensor(1))
    assert mean.compute().isnan()


def test_a_summary_tells_directions_that_only_torchmetrics_knows() -> None:
    """A report compares by a metric of somebody's own; those of the table need no word."""

    class Known(Half):
        higher_is_better = False

        def __init__(self) -> None:
            Metric.__init__(self)

    class Own(SequenceClassifier):
        def new_metrics(self) -> dict[str, Metric]:
            return {**super().new_metrics(), "mine": Known(), "my_acc": Known()}

    module = Own(SPEC, 5, 3)
    module._evaluate(Key("", "val"), Batch(torch.randint(5, (4, 8)), torch.randint(3, (4,))), 0)
    assert directions(module) == {"mine": False}
