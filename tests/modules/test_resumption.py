"""Resumed with other options: what goes along, and what begins anew (F1, F9, F-D)."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, OneCycleLR

from lightning_posenc.data import SyntheticData
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import SequenceClassifier, WarmupCosine
from lightning_posenc.modules.optimizer_state import check_shapes
from lightning_posenc.modules.resumption import Resumption
from lightning_posenc.positional import (
    TUPE,
    Chain,
    Concatenated,
    Droppable,
    Factory,
    FirstLayers,
    LearnedAbsolute,
    LearnedGrid,
    PerLayer,
    RoPE,
)
from lightning_posenc.positions import Grid, Positions
from lightning_posenc.tasks import PositionPattern

SPEC = EncoderSpec(d_model=16, n_heads=2, n_layers=2)
VOCAB_SIZE = PositionPattern().vocab_size
FUSED = partial(AdamW, lr=1e-2, weight_decay=0.1, fused=True)


class Rates(L.Callback):
    """Notes the rate of each group in every step, and all options at the end."""

    def __init__(self) -> None:
        self.rates: list[dict[str, float]] = []

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        groups = trainer.optimizers[0].param_groups
        self.rates.append({group["name"]: float(group["lr"]) for group in groups})


def module(positional: Factory = LearnedAbsolute, **options: Any) -> SequenceClassifier:
    torch.manual_seed(0)
    options = {"optimizer": FUSED, "schedule": partial(WarmupCosine, warmup_steps=2)} | options
    return SequenceClassifier(SPEC, VOCAB_SIZE, 4, positional=positional, **options)


def fit(
    model: L.LightningModule, root: Path, steps: int, ckpt_path: Path | None = None
) -> tuple[L.Trainer, list[dict[str, float]]]:
    noted = Rates()
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=steps,
        callbacks=[noted],
        default_root_dir=root,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        limit_val_batches=0,
    )
    data = SyntheticData(PositionPattern(), train_length=8, batch_size=4, steps_per_epoch=20)
    trainer.fit(model, data, ckpt_path=ckpt_path, weights_only=False)
    return trainer, noted.rates


def saved(model: L.LightningModule, root: Path, steps: int = 3) -> Path:
    trainer, _ = fit(model, root, steps)
    trainer.save_checkpoint(root / "saved.ckpt")
    return root / "saved.ckpt"


def moments(trainer: L.Trainer, model: L.LightningModule, name: str) -> dict[str, torch.Tensor]:
    return trainer.optimizers[0].state[model.get_parameter(name)]


def rows(length: int, **options: Any) -> Factory:
    return partial(LearnedAbsolute, max_length=length, **options)


def grid(side: int, **options: Any) -> Factory:
    return partial(LearnedGrid, height=side, width=side, **options)


SIZED: dict[str, tuple[Callable[..., Factory], Positions | None]] = {
    "LearnedAbsolute": (rows, None),
    "TUPE": (lambda n, **options: partial(TUPE, max_length=n, **options), None),
    "Concatenated": (lambda n, **o: partial(Concatenated, encoding=rows(n, **o)), None),
    "Chain": (lambda n, **o: Chain.of(RoPE, rows(n, **o)), None),
    "PerLayer": (lambda n, **o: PerLayer.of(rows(n, **o), RoPE), None),
    "FirstLayers": (lambda n, **o: FirstLayers.of(rows(n, **o)), None),
    "Droppable": (lambda n, **o: Droppable.of(rows(n, **o)), None),
    "LearnedGrid": (grid, Grid([-1, 4])),
}


SELDOM = {"Concatenated", "Chain", "PerLayer", "FirstLayers", "Droppable"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in SELDOM else ()) for n in SIZED]
)
@pytest.mark.parametrize("resize", ["resample", "extend"])
def test_the_moments_of_a_table_of_another_size_go_with_it(
    name: str, resize: str, tmp_path: Path
) -> None:
    """F1: a fused kernel writes past moments that are shorter than their table."""
    make, positions = SIZED[name]
    ckpt_path = saved(module(make(12), positions=positions), tmp_path)
    state = torch.load(ckpt_path, weights_only=False)
    for size in (200, 8):
        model = module(make(size, resize=resize), positions=positions)
        (key,) = (key for key, _ in model.named_parameters() if key.endswith("table"))
        number = [key for key, _ in model.named_parameters()].index(key)
        old = state["optimizer_states"][0]["state"][number]
        kept = {}

        class Keep(Rates):
            def on_train_batch_start(self, trainer, pl_module, *_):  # type: ignore[no-untyped-def]
                kept.update({k: v.clone() for k, v in moments(trainer, pl_module, key).items()})  # noqa: B023

        trainer = L.Trainer(
            accelerator="cpu", max_steps=4, callbacks=[Keep()], logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
            use_distributed_sampler=False, limit_val_batches=0,
        )  # fmt: skip
        data = SyntheticData(PositionPattern(), train_length=8, batch_size=4, steps_per_epoch=20)
        trainer.fit(model, data, ckpt_path=ckpt_path, weights_only=False)
        owner: Any = model.get_submodule(key.rpartition(".")[0])
        assert kept["step"] == old["step"]
        for each in ("exp_avg", "exp_avg_sq"):
            assert torch.equal(kept[each], owner.resized_moments(old[each]))
        assert moments(trainer, model, key)["exp_avg"].shape == owner.table.shape


OPTIMIZERS = [
    optimizer
    for name in torch.optim.__all__
    if isinstance(optimizer := getattr(torch.optim, name), type)
    and issubclass(optimizer, Optimizer)
    and optimizer is not Optimizer
]
REFUSED = {"LBFGS": "per-parameter options", "SparseAdam": "sparse gradients", "Muon": "2D"}


OFTEN = {"AdamW", "SGD", "Adafactor", *REFUSED}


@pytest.mark.parametrize(
    "optimizer",
    [
        pytest.param(each, marks=() if each.__name__ in OFTEN else pytest.mark.slow)
        for each in OPTIMIZERS
    ],
    ids=lambda optimizer: optimizer.__name__,
)
def test_every_optimizer_of_torch_goes_on_with_a_longer_table(
    optimizer: type[Optimizer], tmp_path: Path
) -> None:
    """F1, of its kind: or is refused before it trains, in one line."""
    make = partial(optimizer, lr=1e-3)
    if optimizer.__name__ in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[optimizer.__name__]):
            fit(module(optimizer=make), tmp_path, 1)
        return
    ckpt_path = saved(module(rows(12), optimizer=make), tmp_path, 2)
    model = module(rows(40), optimizer=make)
    trainer, _ = fit(model, tmp_path, 4, ckpt_path)
    check_shapes(trainer.optimizers[0], {})
    assert all(torch.isfinite(p).all() for p in model.parameters())
    steps = {float(s["step"]) for s in trainer.optimizers[0].state.values() if "step" in s}
    assert steps <= {4.0, 2.0}  # where no moments can be resized (Adafactor), they began anew
    assert 4.0 in steps or optimizer is SGD


def test_state_of_another_shape_is_refused() -> None:
    """F1: also where nobody has resized anything."""
    model = torch.nn.Linear(4, 3)
    optimizer = Adam(model.parameters())
    model(torch.randn(2, 4)).sum().backward()
    optimizer.step()
    check_shapes(optimizer, {})
    optimizer.state[model.weight]["exp_avg"] = torch.zeros(2, 4)
    with pytest.raises(ValueError, match=r"exp_avg of it has shape \(2, 4\), not \(3"):
        check_shapes(optimizer, {id(model.weight): "it"})


CHANGED: dict[str, dict[str, Any]] = {
    "positional options": {"positional_weight_decay": 0.5, "positional_lr_multiplier": 10.0},
    "decay, betas": {
        "optimizer": partial(AdamW, lr=1e-2, weight_decay=0.3, betas=(0.5, 0.9), fused=False)
    },
    "rate": {"optimizer": partial(AdamW, lr=1e-3, weight_decay=0.1, fused=True)},
    "warm-up": {"schedule": partial(WarmupCosine, warmup_steps=5, final_ratio=0.5)},
    "another schedule": {"schedule": CosineAnnealingLR},
    "rates set by the schedule": {"schedule": partial(OneCycleLR, max_lr=0.1)},
    "no schedule": {"schedule": None},
    "held back": {"positional_warmup_steps": 4, "positional_frozen_steps": 1},
    "amsgrad": {"optimizer": partial(AdamW, lr=1e-2, amsgrad=True)},
    "another optimizer": {"optimizer": partial(RMSprop, lr=1e-3)},
}


FEW = {"positional options", "decay, betas", "another schedule", "another optimizer"}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(options, id=name, marks=() if name in FEW else pytest.mark.slow)
        for name, options in CHANGED.items()
    ],
)
def test_options_of_now_hold_for_what_is_restored(
    options: dict[str, Any], tmp_path: Path, logged: list[logging.LogRecord]
) -> None:
    """F9, F-D: groups and rates are those of a run that had the options from its first step."""
    reference, expected = fit(module(**options), tmp_path, 8)
    ckpt_path = saved(module(), tmp_path)
    trainer, rates = fit(module(**options), tmp_path, 8, ckpt_path)
    assert rates == expected[3:]
    for ours, theirs in zip(
        trainer.optimizers[0].param_groups, reference.optimizers[0].param_groups, strict=True
    ):
        assert {k: v for k, v in ours.items() if k != "params"} == {
            k: v for k, v in theirs.items() if k != "params"
        }
    assert any("resumed with other options" in record.getMessage() for record in logged)


def test_with_the_same_options_everything_goes_on(
    tmp_path: Path, logged: list[logging.LogRecord]
) -> None:
    """Rates that something else has changed while it trained are kept, and nothing is said."""
    ckpt_path = saved(module(), tmp_path)
    checkpoint = torch.load(ckpt_path, weights_only=False)
    for group in checkpoint["optimizer_states"][0]["param_groups"]:
        group["weight_decay"] = 0.25
    # The end of the run belongs to the schedule: one that was stopped wants 8 steps too.
    checkpoint["lightning_posenc_optimizers"] = checkpoint["lightning_posenc_optimizers"].replace(
        '"total_steps": 3', '"total_steps": 8'
    )
    torch.save(checkpoint, ckpt_path)
    resumed, _ = fit(module(), tmp_path, 8, ckpt_path)
    assert not any("other options" in record.getMessage() for record in logged)
    for group in resumed.optimizers[0].param_groups:
        assert group["weight_decay"] == 0.25


def test_a_module_of_ones_own_is_served_too(tmp_path: Path) -> None:
    """F9, for anybody's LightningModule: with a schedule by epochs, and without one."""

    class Own(BoringModel):
        def __init__(self, rate: float, gamma: float) -> None:
            super().__init__()
            self.rate, self.gamma = rate, gamma

        def configure_optimizers(self) -> Any:
            optimizer = SGD(self.parameters(), lr=self.rate, momentum=0.5)
            return [optimizer], [ExponentialLR(optimizer, self.gamma)]

    def rates(rate: float, gamma: float, epochs: int, ckpt_path: Path | None = None) -> list[float]:
        seen: list[float] = []

        class Look(L.Callback):
            def on_train_epoch_start(self, trainer: L.Trainer, *_: Any) -> None:
                seen.append(trainer.optimizers[0].param_groups[0]["lr"])

        trainer = L.Trainer(
            accelerator="cpu", max_epochs=epochs, limit_train_batches=2, limit_val_batches=0,
            callbacks=[Resumption(), Look()], logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
        )  # fmt: skip
        trainer.fit(Own(rate, gamma), ckpt_path=ckpt_path, weights_only=True)
        trainer.save_checkpoint(tmp_path / "own.ckpt")
        return seen

    assert rates(0.1, 0.5, 2) == [0.1, 0.05]
    for rate, gamma in ((0.1, 0.5), (0.2, 0.5), (0.1, 0.9)):
        rates(0.1, 0.5, 2)
        expected = [rate * gamma**epoch for epoch in (2, 3)]
        assert rates(rate, gamma, 4, tmp_path / "own.ckpt") == pytest.approx(expected)


def test_a_frozen_encoding_takes_nothing_from_the_others(tmp_path: Path) -> None:
    """Groups change, and torch knows parameters by number only."""
    ckpt_path = saved(module(), tmp_path)
    state = torch.load(ckpt_path, weights_only=False)["optimizer_states"][0]["state"]
    model = module()
    model.positional.requires_grad_(False)
    names = [name for name, _ in model.named_parameters()]
    seen: dict[str, bool] = {}

    class Look(L.Callback):
        def on_train_batch_start(self, trainer, pl_module, *_):  # type: ignore[no-untyped-def]
            own = trainer.optimizers[0].state
            for n, name in enumerate(names):
                if name in ("head.weight", "encoder.norm.weight"):
                    moment = own[pl_module.get_parameter(name)]["exp_avg"]
                    seen[name] = torch.equal(moment, state[n]["exp_avg"])

    trainer = L.Trainer(
        accelerator="cpu", max_steps=4, callbacks=[Look()], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False, limit_val_batches=0,
    )  # fmt: skip
    data = SyntheticData(PositionPattern(), train_length=8, batch_size=4, steps_per_epoch=20)
    trainer.fit(model, data, ckpt_path=ckpt_path, weights_only=False)
    assert seen == {"head.weight": True, "encoder.norm.weight": True}


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda moment: torch.zeros(()),
        lambda moment: torch.zeros(1),
        lambda moment: torch.zeros((1,) * moment.dim()),
        lambda moment: moment.mean(-1, keepdim=True),
        lambda moment: torch.zeros(3),
    ],
)
@pytest.mark.parametrize("fused", [False, True])
def test_no_shape_of_a_moment_but_its_parameters_own_passes(spoilt: Any, fused: bool) -> None:
    """F1: one number, or an axis of one, in place of a moment crashed the fused optimizer."""
    parameter = torch.nn.Parameter(torch.ones(4, 5))
    optimizer = torch.optim.AdamW([parameter], fused=fused)
    parameter.grad = torch.ones(4, 5)
    optimizer.step()
    check_shapes(optimizer, {id(parameter): "table"})
    optimizer.state[parameter]["exp_avg"] = spoilt(optimizer.state[parameter]["exp_avg"])
    with pytest.raises(ValueError, match="exp_avg of table has shape"):
        check_shapes(optimizer, {id(parameter): "table"})


def test_one_number_expanded_to_many_is_laid_out_anew() -> None:
    parameter = torch.nn.Parameter(torch.ones(4, 5))
    optimizer = torch.optim.AdamW([parameter], fused=True)
    parameter.grad = torch.ones(4, 5)
    optimizer.step()
    state = optimizer.state[parameter]
    state["exp_avg_sq"] = torch.ones(1, 1).expand(4, 5)
    check_shapes(optimizer, {})
    assert state["exp_avg_sq"].stride() == parameter.stride()
    optimizer.step()
    assert parameter.isfinite().all()
