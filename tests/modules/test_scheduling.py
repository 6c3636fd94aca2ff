"""Every schedule of torch trains, with the right end, or is refused in one line (B7, F-I)."""

from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from jsonargparse import ArgumentError, ArgumentParser
from torch.optim import AdamW, Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from lightning_posenc.data import SyntheticData
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import SequenceClassifier
from lightning_posenc.modules.scheduling import ScheduleFactory, make_schedule
from lightning_posenc.positional import LearnedAbsolute
from lightning_posenc.tasks import PositionPattern
from lightning_posenc.training.parser_errors import explain

STEPS, RATE = 6, 0.01

# What the config gives, and the rate in the first and in the last step over the optimizer's.
TRAINS: dict[str, tuple[list[str], float, float]] = {
    "ConstantLR": (["factor=0.5"], 0.5, 0.5),
    "CosineAnnealingLR": ([], 1.0, 0.0669873),  # (1 + cos 5π/6) / 2
    "CosineAnnealingWarmRestarts": (["T_0=3"], 1.0, 0.25),
    "CyclicLR": (["base_lr=0.01", "max_lr=0.02", "step_size_up=10"], 1.0, 1.5),
    "ExponentialLR": (["gamma=0.5"], 1.0, 0.5**5),
    "LambdaLR": (["lr_lambda=tests.modules.test_scheduling.falling"], 1.0, 0.1**5),
    "LinearLR": ([], 1 / 3, 1 / 3 + 2 / 3 * 5 / 6),
    "MultiStepLR": (["milestones=[2, 4]"], 1.0, 0.01),
    "MultiplicativeLR": (["lr_lambda=tests.modules.test_scheduling.half"], 1.0, 0.5**5),
    "OneCycleLR": (["max_lr=0.02"], 0.08, 8e-6),
    "PolynomialLR": ([], 1.0, 1 / 6),
    "ReduceLROnPlateau": ([], 1.0, 1.0),
    "StepLR": (["step_size=3"], 1.0, 0.1),
}
REFUSED = {
    "ChainedScheduler": "schedule",
    "SequentialLR": "schedulers",
    "CosineAnnealingWarmRestarts": "T_0",
    "CyclicLR": "base_lr",
    "ExponentialLR": "gamma",
    "MultiStepLR": "milestones",
    "OneCycleLR": "max_lr",
    "StepLR": "step_size",
    "LambdaLR": "lr_lambda",
    "MultiplicativeLR": "lr_lambda",
}


def falling(step: int) -> float:
    return 0.1**step


def half(step: int) -> float:
    return 0.5


def from_config(name: str, options: list[str]) -> Any:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--schedule", type=ScheduleFactory | None)
    # By its path: Lightning has a ReduceLROnPlateau of its own.
    args = [
        f"--schedule=torch.optim.lr_scheduler.{name}",
        *(f"--schedule.{option}" for option in options),
    ]
    return parser.instantiate(parser.parse_args(args)).schedule


class Rates(L.Callback):
    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        self.rates.append(float(trainer.optimizers[0].param_groups[0]["lr"]))


def rates(root: Path, schedule: Any, **options: Any) -> list[float]:
    """The rate in each step of a short run."""
    noted = Rates()
    trainer = L.Trainer(
        accelerator="cpu", callbacks=[noted], default_root_dir=root, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False, num_sanity_val_steps=0,
        **{"max_epochs": 2, "limit_val_batches": 1} | options.pop("trainer", {}),
    )  # fmt: skip
    data = SyntheticData(
        PositionPattern(), train_length=8, batch_size=4, steps_per_epoch=STEPS // 2, eval_samples=4
    )
    model = SequenceClassifier(
        EncoderSpec(d_model=16, n_heads=2, n_layers=1),
        PositionPattern().vocab_size,
        4,
        positional=LearnedAbsolute,
        optimizer=partial(AdamW, lr=RATE),
        schedule=schedule,
        **options,
    )
    trainer.fit(model, data)
    return noted.rates


def test_the_table_names_every_schedule_of_torch() -> None:
    of_torch = {
        name
        for name in lr_scheduler.__all__
        if issubclass(getattr(lr_scheduler, name), LRScheduler) and name != "LRScheduler"
    }
    assert of_torch == {*TRAINS, *REFUSED}


FEW = ("CosineAnnealingLR", "OneCycleLR", "ReduceLROnPlateau")  # the others are slow
EACH = [pytest.param(name, marks=[pytest.mark.slow] * (name not in FEW)) for name in TRAINS]


@pytest.mark.parametrize("name", EACH)
def test_it_trains_to_its_end(name: str, tmp_path: Path) -> None:
    options, first, last = TRAINS[name]
    made = rates(tmp_path, from_config(name, options))
    assert len(made) == STEPS
    assert (made[0] / RATE, made[-1] / RATE) == pytest.approx((first, last))


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_needs_is_said(name: str) -> None:
    optimizer = AdamW([torch.zeros(1, requires_grad=True)])
    for given in (lambda: getattr(lr_scheduler, name), lambda: from_config(name, [])):
        with pytest.raises((ValueError, ArgumentError)) as caught:
            make_schedule(given(), optimizer, STEPS)
        line = explain(str(caught.value))
        assert "schedule" in line
        assert REFUSED[name] in line
        assert "\n" not in line


def test_an_end_that_is_given_is_kept_and_one_that_is_needed_must_be() -> None:
    optimizer = AdamW([torch.zeros(1, requires_grad=True)])
    made: Any = make_schedule(from_config("CosineAnnealingLR", ["T_max=3"]), optimizer, STEPS)
    assert made.T_max == 3
    with pytest.raises(ValueError, match="needs an end"):
        make_schedule(from_config("CosineAnnealingLR", []), optimizer, float("inf"))
    make_schedule(from_config("ExponentialLR", ["gamma=0.9"]), optimizer, float("inf"))


def test_functions_of_python_take_the_steps_second() -> None:
    """Whatever they call them; and those of the optimizer alone are not told."""

    def of_both(optimizer: Optimizer, n: int) -> LambdaLR:
        return LambdaLR(optimizer, lambda step: step / n)

    optimizer = AdamW([torch.zeros(1, requires_grad=True)], lr=1.0)
    made = make_schedule(of_both, optimizer, 4)
    optimizer.step()
    made.step()
    assert made.get_last_lr() == [0.25]
    assert make_schedule(lambda optimizer: LambdaLR(optimizer, half), optimizer, 4)


def test_without_a_schedule_the_rate_is_constant(tmp_path: Path) -> None:
    assert rates(tmp_path, None) == [RATE] * STEPS


@pytest.mark.parametrize(
    ("schedule", "options", "line"),
    [
        (from_config("OneCycleLR", ["max_lr=0.1"]), {"positional_lr_multiplier": 2.0}, "nothing"),
        (lr_scheduler.ReduceLROnPlateau, {"positional_warmup_steps": 2}, "hold back"),
        (lr_scheduler.ReduceLROnPlateau, {"trainer": {"limit_val_batches": 0}}, "let the run"),
        (
            lr_scheduler.ReduceLROnPlateau,
            {"trainer": {"check_val_every_n_epoch": None, "val_check_interval": 2}},
            "let the run",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(
    schedule: Any, options: dict[str, Any], line: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=line):
        rates(tmp_path, schedule, **options)


def test_a_plateau_lowers_the_rate(tmp_path: Path) -> None:
    """No loss falls by so much that it would count."""
    schedule = partial(lr_scheduler.ReduceLROnPlateau, patience=0, threshold=100.0)
    made = rates(tmp_path, schedule, trainer={"max_epochs": 3})
    assert made[-1] == pytest.approx(RATE * 0.1**2)
