"""Faults of training, and trainings that are too short or hopeless, for `foreign_faults.py`."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from foreign_evaluations import Changed, Moved
from foreign_models import RATE, Kind, Model, new, trained
from torch import nn

from lightning_posenc.data import Batch
from lightning_posenc.model import Plain
from lightning_posenc.positional import (
    Factory,
    LearnedAbsolute,
    LearnedRelativeBias,
    RoPE,
)
from lightning_posenc.tasks import (
    IGNORE,
)


def at_rate(rate: float, steps: int, kind: Kind, encoding: Factory, seed: int) -> Model:
    return trained(new(kind, encoding, seed), steps, rate=rate)


def random_labels(share: float, kind: Kind, encoding: Factory, seed: int) -> Model:
    """A share of the targets of training and validation is drawn at random."""
    model = new(kind, encoding, seed)
    n = getattr(model.module, "n_classes", model.module.embedding.vocab_size)

    def change(batch: Batch) -> Batch:
        drawn = torch.randint(n, batch.targets.shape)
        noisy = (torch.rand(batch.targets.shape) < share) & (batch.targets != IGNORE)
        return batch._replace(targets=torch.where(noisy, drawn, batch.targets))

    class Noisy(Changed):
        def train_dataloader(self) -> Iterator[Batch]:
            return map(self.change, self.data.train_dataloader())

    model = trained(model, 400, change=change)
    model.data.steps_per_epoch = 400
    return model._replace(data=Noisy(model.data, change))


def with_options(steps: int, kind: Kind, encoding: Factory, seed: int, **options: Any) -> Model:
    return trained(new(kind, encoding, seed, **options), steps)


def slow_rope(kind: Kind, encoding: Factory, seed: int) -> Model:
    return trained(new(kind, RoPE, seed, positions=Moved(lambda p: p * 1e-4)), 300)


def nowhere(kind: Kind, encoding: Factory, seed: int) -> Model:
    return trained(new(kind, encoding, seed, positions=Moved(lambda p: 0 * p)), 300)


def starved(kind: Kind, encoding: Factory, seed: int) -> Model:
    model = new(kind, partial(LearnedRelativeBias, std=0.0), seed)
    model.module.positional.requires_grad_(False)
    return trained(model, 300)


def great_bias(kind: Kind, encoding: Factory, seed: int) -> Model:
    return trained(new(kind, partial(LearnedRelativeBias, std=200.0), seed), 200)


def too_deep(kind: Kind, encoding: Factory, seed: int) -> Model:
    return new(
        kind,
        encoding,
        seed,
        layers=24,
        residual=partial(Plain, pre_norm=False),
        norm=nn.Identity,
        init_std=0.3,
    )


def short_table(kind: Kind, encoding: Factory, seed: int) -> Model:
    table = partial(LearnedAbsolute, max_length=kind.length + 8)
    model = trained(new(kind, table, seed), 200)
    model.data.eval_lengths = [kind.length, 4 * kind.length]
    return model


def sees_the_future(kind: Kind, encoding: Factory, seed: int) -> Model:
    model = new(kind, encoding, seed)
    model.module.encoder.masks = [None]
    return trained(model, 200)


# Where no model without positions can begin to learn.
ORDERED = {"PositionPattern", "Reverse", "Shift", "IndexLookup"}


class Cause(NamedTuple):
    """A fault of training.

    Args:
        right: Numbers of the ailments that name it; empty where none may be called ill.
        make: From the kind of data, an encoding and a seed.
        encoding: Of the encodings of the kind; None for the first.
        where: Kinds of data; None for all.
    """

    right: set[int]
    make: Callable[[Kind, Factory, int], Model]
    where: set[str] | None = None


TRAINED = {
    "rate 1e-5, 300 steps": Cause(set(), partial(at_rate, 1e-5, 300)),
    "rate 1e-4, 120 steps": Cause(set(), partial(at_rate, 1e-4, 120)),
    "60 steps": Cause(set(), partial(at_rate, RATE, 60)),
    "random labels": Cause(set(), partial(random_labels, 1.0)),
    "label noise 40 %": Cause(set(), partial(random_labels, 0.4)),
    "rate 1": Cause({6, 7, 8, 9, 16}, partial(at_rate, 1.0, 200)),
    "RoPE frequencies × 1e-4": Cause(
        {2, 10, 6},
        slow_rope,
        ORDERED,
    ),
    "all positions 0": Cause({10}, nowhere),
    "bias frozen at 0": Cause({2, 10}, starved, ORDERED),
    "bias of std 200": Cause({7}, great_bias),
    "24 layers without norms": Cause({8, 9}, too_deep),
    "table shorter than the test": Cause({5}, short_table),
    "language model without causal mask": Cause({15}, sees_the_future, {"text"}),
}
