"""Small models with a planted fault, and healthy ones, for `planted_faults.py`."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightning_posenc.data import SyntheticData
from lightning_posenc.diagnostics.observing.observe import observe
from lightning_posenc.model import Encoder
from lightning_posenc.model.encoder import EncoderSpec
from lightning_posenc.model.residual import Residual
from lightning_posenc.modules import SequenceClassifier, WarmupCosine, parameter_groups
from lightning_posenc.positional import (
    ALiBi,
    Chain,
    KERPLELog,
    LearnableFrequencies,
    LearnedAbsolute,
    LearnedRelativeBias,
    NoPE,
    RoPE,
    Sinusoidal,
    T5Bias,
)
from lightning_posenc.positional.base import Factory

LENGTH, WIDTH, HEADS = 16, 32, 4
BATCH, RATE = 32, 5e-3
MOST_STEPS, CHECK = 600, 50
SOLVED = 0.95
EXPLOSION = 300.0


class Model(NamedTuple):
    """A module, its data, and the steps that it was trained for."""

    module: SequenceClassifier
    data: SyntheticData
    steps: int


def new(
    encoding: Factory,
    seed: int,
    n_layers: int = 2,
    asked: tuple[int, ...] = (LENGTH,),
    causal: bool = False,
    **wiring: Any,
) -> Model:
    """An untrained model."""
    torch.manual_seed(seed)
    data = SyntheticData(train_length=LENGTH, eval_lengths=list(asked), batch_size=BATCH, seed=seed)
    spec = EncoderSpec(WIDTH, HEADS, n_layers, **wiring)
    module = SequenceClassifier(
        spec, data.vocab_size, data.n_classes, causal=causal, positional=encoding
    )
    return Model(module, data, 0)


def trained(
    model: Model, until: float = SOLVED, steps: int = MOST_STEPS, positional_rate: float = 1.0
) -> Model:
    """Train until the accuracy on training batches reaches `until`, or for so many steps; the
    encoding at a rate of its own, relative to the others'.
    """
    module, data, _ = model
    groups = parameter_groups(module, module.positional, 0.0)
    for group in groups:
        group["lr"] = RATE * (positional_rate if group["name"] == "positional" else 1.0)
    optimizer = torch.optim.AdamW(groups, lr=RATE, weight_decay=0.1, fused=True)
    schedule = WarmupCosine(optimizer, MOST_STEPS, warmup_steps=20)
    module.train()
    data.steps_per_epoch = MOST_STEPS
    right, step = 0, 0
    for step, batch in enumerate(data.train_dataloader(), start=1):
        loss, logits, targets = module.score(batch, step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        right += int((logits.argmax(-1) == targets).sum())
        if step % CHECK == 0:
            if step >= steps or (step >= 2 * CHECK and right >= until * CHECK * BATCH):
                break
            right = 0
    module.zero_grad()
    return Model(module, data, step)


def zeroed(seed: int) -> Model:
    return trained(new(partial(Sinusoidal, scale=0.0), seed), steps=150)


def tiny_frozen(seed: int) -> Model:
    model = new(partial(LearnedAbsolute, max_length=LENGTH * 4, std=0.01), seed)
    model.module.positional.requires_grad_(False)
    return trained(model, steps=150)


class NoSkip(Residual):
    """The branch alone."""

    def join(self, x: Tensor, branch: Tensor) -> Tensor:
        return branch


def identity_less(seed: int) -> Model:
    return new(RoPE, seed, n_layers=6, residual=NoSkip)


@torch.no_grad()
def collapsed(seed: int) -> Model:
    with torch.enable_grad():
        model = trained(new(_some(seed), seed))
    factor = (20 + 20 * torch.rand(1).item()) ** 0.5 * 2
    for block in blocks(model):
        block.attention.qkv.weight[: 2 * WIDTH] *= factor
        block.attention.qkv.bias[: 2 * WIDTH] *= factor
    return model


def half_frequencies(seed: int) -> Model:
    model = trained(new(LearnableFrequencies, seed))
    model.module.positional.bfloat16()
    return model


def untrained_rows(seed: int) -> Model:
    encoding = (LearnedAbsolute, LearnedRelativeBias)[seed % 2]
    return trained(new(encoding, seed, asked=(LENGTH, 4 * LENGTH)))


class Detached(LearnedAbsolute):
    """A table that no gradient reaches."""

    def vectors(self, positions: Tensor) -> Tensor:
        return super().vectors(positions).detach()


class FaintBias(LearnedRelativeBias):
    """A bias whose gradient is a millionth of a millionth."""

    def bias_at(self, delta: Tensor) -> Tensor:
        bias = super().bias_at(delta)
        return bias.detach() + 1e-12 * (bias - bias.detach())


def dead_gradient(seed: int) -> Model:
    return trained(new((Detached, FaintBias)[seed % 2], seed), steps=300)


def starved(seed: int) -> Model:
    model = new(partial(LearnedRelativeBias, std=0.0), seed)
    return trained(model, steps=150, positional_rate=0.05)


@torch.no_grad()
def exploding(seed: int) -> Model:
    """A stream that grows EXPLOSION times: by branches far larger than it; or, without norms, by
    blocks each larger than the last.
    """
    wiring: dict[str, Any] = {"norm": nn.Identity} if seed % 2 else {}
    model = new(_some(seed // 2), seed, n_layers=6, **wiring)
    explode(model)
    return model


@torch.no_grad()
def explode(model: Any) -> None:
    """Double the branches until the stream grows EXPLOSION times."""
    batch = next(iter(model.data.val_dataloader()))
    growth = 0.0
    while growth < EXPLOSION:
        for block in blocks(model):
            for branch in (block.attention, block.feed_forward):
                branch.out.weight *= 2
        with observe(model.module) as seen:
            model.module.logits(batch)
        growth = float(seen.hidden[-1].norm() / seen.hidden[0].norm())


def hard_maximum(seed: int) -> Model:
    encoding = partial(LearnedAbsolute, max_length=LENGTH)
    return trained(new(encoding, seed, asked=(LENGTH, 2 * LENGTH)))


class Shuffling(nn.Module):
    """Forgets where tokens stood."""

    def forward(self, x: Tensor) -> Tensor:
        order = torch.rand(x.shape[:2]).argsort(dim=1)
        return x.gather(1, order.unsqueeze(-1).expand_as(x))


def faded(seed: int) -> Model:
    model = new((Sinusoidal, LearnedAbsolute)[seed % 2], seed, n_layers=4)
    model.module.encoder.blocks[1].register_forward_hook(lambda _, args, out: Shuffling()(out))
    return model


@torch.no_grad()
def alike(seed: int) -> Model:
    with torch.enable_grad():
        model = trained(new(ALiBi, seed, n_layers=4), steps=150)
    for block in blocks(model):
        block.attention.qkv.weight[: 2 * WIDTH] *= 0.01
        block.attention.qkv.bias[: 2 * WIDTH] *= 0.01
    return model


def blocks(model: Any) -> Any:
    """Its blocks."""
    encoder: Encoder = model.module.encoder
    return encoder.blocks


def _some(seed: int) -> Factory:
    return (Sinusoidal, LearnedAbsolute, RoPE, LearnedRelativeBias)[seed % 4]


FAULTS: dict[str, tuple[int, Callable[[int], Model]]] = {
    "zeroed encoding": (10, zeroed),
    "table frozen at a tiny scale": (2, tiny_frozen),
    "no identity, collapse at the start": (8, identity_less),
    "entropy collapse by scaled logits": (7, collapsed),
    "learned frequencies in bfloat16": (12, half_frequencies),
    "untrained rows": (4, untrained_rows),
    "dead positional gradient": (6, dead_gradient),
    "residual explosion": (9, exploding),
    "starved bias (std 0)": (6, starved),
    "table shorter than the test": (5, hard_maximum),
    "position lost midway": (1, faded),
    "the same attention in every layer": (3, alike),
}

HEALTHY: dict[str, tuple[Factory, bool]] = {
    "Sinusoidal": (Sinusoidal, False),
    "LearnedAbsolute": (LearnedAbsolute, False),
    "RoPE": (RoPE, False),
    "ALiBi": (ALiBi, False),
    "T5Bias": (T5Bias, False),
    "LearnedRelativeBias": (LearnedRelativeBias, False),
    "LearnableFrequencies": (LearnableFrequencies, False),
    "KERPLELog": (KERPLELog, False),
    "Chain of RoPE and ALiBi": (Chain.of(RoPE, ALiBi), False),
    "NoPE, causal": (NoPE, True),
}
DEPTHS = (2, 4, 6)  # trained until they solve the task
FRESH_DEPTH = 12  # and untrained


def sound(name: str, n_layers: int, seed: int) -> tuple[Model | None, int]:
    """A healthy model: one that solves the task, or a fresh one; how many seeds did not."""
    encoding, causal = HEALTHY[name]
    for retry in range(3):
        model = new(encoding, seed + 1000 * retry, n_layers, causal=causal)
        if n_layers == FRESH_DEPTH:
            return model, 0
        model = trained(model)
        if model.steps < MOST_STEPS:
            return model, retry
    return None, 3
