"""Short runs that one process and several can make."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.optim import AdamW

from lightning_posenc.data import SyntheticData
from lightning_posenc.data.lengths import UniformLengths
from lightning_posenc.model import EncoderSpec, MixtureOfExperts
from lightning_posenc.modules import EncoderModule, LanguageModel, TokenClassifier, WarmupCosine
from lightning_posenc.positional import (
    FIRE,
    ALiBi,
    Factory,
    LearnedAbsolute,
    NoPE,
    RoPE,
    ShawRelative,
    Sinusoidal,
    T5Bias,
)
from lightning_posenc.tasks import Reverse

STEPS = 6
Options = dict[str, Any]

ENCODINGS: dict[str, Factory] = {
    "NoPE": NoPE,
    "LearnedAbsolute": partial(LearnedAbsolute, max_length=8),
    "Sinusoidal": Sinusoidal,
    "RoPE": RoPE,
    "ALiBi": ALiBi,
    "T5Bias": T5Bias,
    "ShawRelative": ShawRelative,
    "FIRE": FIRE,
}
EXPERTS = partial(MixtureOfExperts, n_experts=4, d_ff=8, capacity=1.0, balance=1.0)
# What asks more of a strategy: of the model, and of the trainer.
HARDER: dict[str, tuple[Options, Options]] = {
    "penalty": ({"positional": partial(LearnedAbsolute, max_length=8, smoothness=0.1)}, {}),
    "checkpointed": ({"checkpoint_activations": True}, {}),
    "sigma_reparam": ({"wiring": {"sigma_reparam": True}}, {}),
    "experts": ({"wiring": {"feed_forward": EXPERTS}}, {}),
    "tied": ({"tied": True}, {}),
    "accumulated": ({}, {"accumulate_grad_batches": 2}),
    "bf16-mixed": ({}, {"precision": "bf16-mixed"}),
    "bf16-true": ({}, {"precision": "bf16-true"}),
}
EXACT: dict[str, tuple[Options, Options]] = {
    **{name: ({"positional": encoding}, {}) for name, encoding in ENCODINGS.items()},
    **{name: options for name, options in HARDER.items() if not name.startswith("bf16")},
}


def data(**options: Any) -> SyntheticData:
    """Sequences of several lengths: ranks hold different numbers of scored targets."""
    defaults: dict[str, Any] = {"train_length": UniformLengths(3, 8), "eval_lengths": [8]}
    sizes = {"batch_size": 8, "steps_per_epoch": 200, "eval_samples": 24}
    return SyntheticData(Reverse(), **{**defaults, **sizes, **options})


def model(
    positional: Factory = RoPE,
    seed: int = 0,
    tied: bool = False,
    wiring: Options | None = None,
    **options: Any,
) -> EncoderModule:
    """Two layers of width 16; the same for the same seed. `tied` makes it a language model."""
    torch.manual_seed(seed)
    task = Reverse()
    spec = EncoderSpec(d_model=16, n_heads=2, n_layers=2, **{"init_std": 0.2, **(wiring or {})})
    options = {
        "positional": positional,
        "optimizer": partial(AdamW, lr=3e-3),
        "schedule": partial(WarmupCosine, warmup_steps=2),
        **options,
    }
    if tied:
        return LanguageModel(spec, task.vocab_size, **options)
    return TokenClassifier(spec, task.vocab_size, task.n_classes, **options)


class Losses(L.Callback):
    """Keeps the loss of every step, as it is logged, and the scored targets of this rank."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.counts: list[int] = []

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, *_: Any
    ) -> None:
        self.losses.append(float(trainer.callback_metrics["train/loss"]))
        self.counts.append(int((batch.targets >= 0).sum()))


def strategy(name: str, world_size: int, **options: Any) -> Any:
    """A strategy by name: "auto", "ddp" or "fsdp2"."""
    if name != "fsdp2":
        return name
    sizes = {"data_parallel_size": world_size, "tensor_parallel_size": 1}
    return ModelParallelStrategy(**{**sizes, "save_distributed_checkpoint": False, **options})


def trainer(
    root: Path,
    strategy: Any = "auto",
    world_size: int = 1,
    callbacks: Sequence[L.Callback] = (),
    **options: Any,
) -> L.Trainer:
    """A quiet trainer on the CPU."""
    defaults: dict[str, Any] = {
        "accelerator": "cpu",
        "max_steps": STEPS,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
        "gradient_clip_val": 0.5,
    }
    return L.Trainer(
        default_root_dir=root,
        devices=world_size,
        strategy=strategy,
        callbacks=list(callbacks),
        **{**defaults, **options},
    )


def curve(
    name: str,
    world_size: int,
    root: Path,
    of_model: Options | None = None,
    of_trainer: Options | None = None,
) -> tuple[list[float], list[int]]:
    """Train, validate: the losses of the steps, then the validation's numbers; and counts."""
    noted = Losses()
    module, stream = model(**(of_model or {})), data()
    runner = trainer(root, strategy(name, world_size), world_size, [noted], **(of_trainer or {}))
    runner.fit(module, stream)
    found = runner.validate(module, stream, verbose=False)[0]
    return [*noted.losses, found["val/loss"], found["val/acc"]], noted.counts


def curves(
    name: str, world_size: int, root: Path, variants: Sequence[str], steps: int = STEPS
) -> dict[str, tuple[list[float], list[int]]]:
    """The curve of each variant."""
    found = {}
    for variant in variants:
        of_model, of_trainer = {**EXACT, **HARDER}[variant]
        of_trainer = {"max_steps": steps, **of_trainer}
        found[variant] = curve(name, world_size, root, of_model, of_trainer)
    return found
