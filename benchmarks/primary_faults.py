"""Faults of training of one cause each, for `primary_causes.py`."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from foreign_evaluations import Moved
from foreign_models import HEADS, Kind, Model, new, trained
from planted_models import NoSkip, blocks, explode
from torch import Tensor, nn

from lightning_posenc.positional import (
    DAPE,
    LearnableFrequencies,
    LearnedAbsolute,
    LearnedRelativeBias,
    NoPE,
    RoPE,
    Sinusoidal,
    T5Bias,
)

TABLE = partial(LearnedAbsolute, max_length=256)
BRIEF = 200  # steps that show what a model cannot learn


class Fault(NamedTuple):
    """A fault of training, or of what was built.

    Args:
        primary: Numbers of the ailments of which each is the cause.
        make: Of a kind of data, a depth and a seed.
        tasks: Where it does harm.
        depths: Numbers of layers.
    """

    primary: set[int]
    make: Callable[[Kind, int, int], Model]
    tasks: tuple[str, ...]
    depths: tuple[int, ...] = (2, 4, 8)


def no_encoding(kind: Kind, layers: int, seed: int) -> Model:
    return trained(new(kind, NoPE, seed, layers=layers), BRIEF)


def nowhere(kind: Kind, layers: int, seed: int) -> Model:
    return trained(new(kind, TABLE, seed, layers=layers, positions=Moved(lambda p: 0 * p)), BRIEF)


def frozen(kind: Kind, layers: int, seed: int) -> Model:
    table = partial(LearnedAbsolute, max_length=256, std=1e-3)
    model = new(kind, table, seed, layers=layers)
    model.module.positional.requires_grad_(False)
    return trained(model, BRIEF)


def hardly_turned(kind: Kind, layers: int, seed: int) -> Model:
    moved = Moved(lambda p: p * 1e-4)
    return trained(new(kind, RoPE, seed, layers=layers, positions=moved), BRIEF)


def starved(kind: Kind, layers: int, seed: int) -> Model:
    model = new(kind, partial(LearnedRelativeBias, std=0.0), seed, layers=layers)
    for parameter in model.module.positional.parameters():
        parameter.register_hook(lambda grad: grad.clamp(-1e-13, 1e-13))  # below AdamW's epsilon
    return trained(model, BRIEF)


class Unheard(LearnedRelativeBias):
    """A bias of which training hears a millionth of a millionth."""

    def bias_at(self, delta: Tensor) -> Tensor:
        bias = super().bias_at(delta)
        return bias.detach() + 1e-12 * (bias - bias.detach())


def unheard(kind: Kind, layers: int, seed: int) -> Model:
    return trained(new(kind, partial(Unheard, std=0.0), seed, layers=layers), BRIEF)


def saturated(kind: Kind, layers: int, seed: int) -> Model:
    bias = partial(LearnedRelativeBias, std=200.0)
    return trained(new(kind, bias, seed, layers=layers), BRIEF)


def no_identity(kind: Kind, layers: int, seed: int) -> Model:
    return trained(new(kind, TABLE, seed, layers=layers, residual=NoSkip), 100)


def explosion(kind: Kind, layers: int, seed: int) -> Model:
    model = new(kind, TABLE, seed, layers=layers)
    explode(model)
    return model


def short_table(kind: Kind, layers: int, seed: int) -> Model:
    n = 2 * (kind.length + 2)
    model = trained(new(kind, partial(LearnedAbsolute, max_length=n), seed, layers=layers),
                    kind.steps, kind.solved)  # fmt: skip
    model.data.eval_lengths = [kind.length, 4 * kind.length]
    return model


def untrained_rows(kind: Kind, layers: int, seed: int) -> Model:
    model = trained(new(kind, TABLE, seed, layers=layers), kind.steps, kind.solved)
    model.data.eval_lengths = [kind.length, 4 * kind.length]
    return model


def asked_longer(kind: Kind, layers: int, seed: int) -> Model:
    """A fixed encoding, whose long sums of sines nobody has seen."""
    model = trained(new(kind, Sinusoidal, seed, layers=layers), kind.steps, kind.solved)
    model.data.eval_lengths = [kind.length, 4 * kind.length]
    return model


class Forget:
    """Takes from the stream what training batches have in common at a place."""

    def __init__(self) -> None:
        self.common = torch.zeros(())

    def __call__(self, module: nn.Module, args: Any, out: Tensor) -> Tensor:
        if module.training:
            of_place = out.mean(dim=0, keepdim=True)
            now = (of_place - of_place.mean(dim=1, keepdim=True)).detach()
            self.common = now if self.common.dim() == 0 else 0.9 * self.common + 0.1 * now
            return out - of_place + of_place.mean(dim=1, keepdim=True)
        known = self.common[:, : out.shape[1]]
        return out - nn.functional.pad(known, (0, 0, 0, out.shape[1] - known.shape[1]))


def forgotten(kind: Kind, layers: int, seed: int) -> Model:
    """After the second block nothing common to a place is left of the stream."""
    model = new(kind, TABLE, seed, layers=max(layers, 4))
    blocks(model)[1].register_forward_hook(Forget())
    return trained(model, BRIEF)


def repeated(kind: Kind, layers: int, seed: int) -> Model:
    """Queries and keys of 0, and a bias that all layers share."""
    model = new(kind, T5Bias, seed, layers=max(layers, 3))
    for block in blocks(model):
        width = block.attention.qkv.weight.shape[1]
        block.attention.qkv.register_forward_hook(lambda _, args, out, d=width: silenced(out, d))
    return trained(model, BRIEF)


def silenced(qkv: Tensor, width: int) -> Tensor:
    """Without queries and keys, which stand first."""
    return torch.cat([0 * qkv[..., : 2 * width], qkv[..., 2 * width :]], dim=-1)


def rounded(kind: Kind, layers: int, seed: int) -> Model:
    model = trained(new(kind, LearnableFrequencies, seed, layers=layers), kind.steps, kind.solved)
    model.module.positional.bfloat16()
    return model


def costly(kind: Kind, layers: int, seed: int) -> Model:
    """An encoding whose logits are held, in a config whose batches make them many."""
    model = trained(new(kind, DAPE, seed, layers=layers), kind.steps, kind.solved)
    n_tokens = next(iter(model.data.val_dataloader())).tokens.shape[1]
    model.data.batch_size = 1 + (9 << 30) // (4 * HEADS * n_tokens**2 * layers)
    return model


def sees_the_future(kind: Kind, layers: int, seed: int) -> Model:
    model = new(kind, TABLE, seed, layers=layers)
    model.module.encoder.masks = [None]
    return trained(model, BRIEF)


ORDERED = ("Shift", "Reverse")  # of which nothing is learned without order
ALL = ("Shift", "Reverse", "CopyRandom", "AssociativeRecall", "text")
FAULTS = {
    "no encoding": Fault({10}, no_encoding, ORDERED),
    "every token at position 0": Fault({10}, nowhere, ORDERED),
    "table frozen at a thousandth": Fault({2}, frozen, ORDERED),
    "RoPE turns a ten-thousandth": Fault({2}, hardly_turned, ORDERED),
    "bias whose gradient is cut": Fault({6}, starved, ORDERED),
    "bias of which the loss hears nothing": Fault({6}, unheard, ORDERED),
    "bias of std 200": Fault({7}, saturated, ORDERED),
    "blocks without identity": Fault({8}, no_identity, ALL, (8, 12, 24)),
    "residual explosion": Fault({9}, explosion, ALL, (6, 12, 24)),
    "table shorter than the test": Fault({5}, short_table, ("Shift", "CopyRandom", "text")),
    "rows that no training reached": Fault({4}, untrained_rows, ("Shift", "CopyRandom", "text")),
    "sinusoids at four times the length": Fault({11}, asked_longer, ("Reverse", "CopyRandom")),
    "place forgotten after two blocks": Fault({1}, forgotten, ("Shift", "Reverse"), (4, 8, 12)),
    "every layer the attention of the first": Fault({3}, repeated, ("Reverse",), (4, 8)),
    "frequencies in bfloat16": Fault({12}, rounded, ORDERED),
    "matrices of 9 GiB": Fault({13}, costly, ("Shift", "AssociativeRecall")),
    "causal model without its mask": Fault({15}, sees_the_future, ("CopyRandom", "text")),
}
