"""Faults of evaluation, planted in healthy models, for `foreign_faults.py`."""

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from foreign_models import HEADS, WIDTH, Model
from torch import Tensor, nn

from lightning_posenc.data import Batch
from lightning_posenc.masks import Causal, Window
from lightning_posenc.modules import (
    SequenceClassifier,
)
from lightning_posenc.positions import Consecutive, Positions, Sequences
from lightning_posenc.tasks import (
    IGNORE,
)


class Changed:
    """Data whose validation batches are changed."""

    def __init__(self, data: Any, change: Callable[[Batch], Batch]) -> None:
        self.data, self.change = data, change

    def __getattr__(self, name: str) -> Any:
        if name in ("data", "change"):  # while it is copied
            raise AttributeError(name)
        return getattr(self.data, name)

    def val_dataloader(self) -> Iterator[Batch]:
        return map(self.change, self.data.val_dataloader())


class Moved(Positions):
    """Positions that are changed after they were counted."""

    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.change = change

    def forward(self, sequences: Sequences) -> Tensor:
        return self.change(Consecutive()(sequences))


def positions_changed(change: Callable[[Tensor], Tensor], model: Model) -> None:
    model.module.encoder.positions = Moved(change)


@torch.no_grad()
def rows_shuffled(model: Model) -> None:
    for table in model.module.positional.parameters():
        rows = min(
            len(table), model.data.train_lengths if hasattr(model.data, "train_lengths") else 32
        )
        table[:rows] = table[torch.randperm(rows)]


@torch.no_grad()
def rows_rolled(model: Model) -> None:
    for table in model.module.positional.parameters():
        table.copy_(table.roll(1, dims=0))


def left_padded(model: Model) -> Model:
    """Zero to six tokens of padding before every sequence, none of them masked."""

    def change(batch: Batch) -> Batch:
        pads = torch.arange(len(batch.tokens)) % 6 + 1
        width = batch.tokens.shape[1] + 6
        places = torch.arange(width) - pads[:, None]
        inside = (places >= 0) & (places < batch.tokens.shape[1])
        index = places.clamp(0, batch.tokens.shape[1] - 1)
        pad = int(batch.tokens.max()) if batch.tokens.min() == 0 else 0
        tokens = torch.where(places < 0, pad, batch.tokens.gather(1, index))
        targets = batch.targets
        if targets.dim() == 2:
            targets = torch.where(inside, targets.gather(1, index), IGNORE)
        lengths = batch.tokens.shape[1] + pads
        return batch._replace(tokens=tokens, targets=targets, lengths=lengths)

    return model._replace(data=Changed(model.data, change))


def targets_changed(change: Callable[[Tensor, int], Tensor], model: Model) -> Model:
    n = model.module.head.out_features if getattr(model.module, "head", None) else 256

    def changed(batch: Batch) -> Batch:
        real = batch.targets != IGNORE
        return batch._replace(targets=torch.where(real, change(batch.targets, n), batch.targets))

    return model._replace(data=Changed(model.data, changed))


def targets_late(model: Model) -> Model:
    def changed(batch: Batch) -> Batch:
        targets = batch.targets.roll(1, dims=1)
        targets[:, 0] = IGNORE
        return batch._replace(targets=targets)

    return model._replace(data=Changed(model.data, changed))


def tokens_renumbered(model: Model) -> Model:
    n = model.module.embedding.vocab_size
    return model._replace(data=Changed(model.data, lambda b: b._replace(tokens=(b.tokens + 1) % n)))


@torch.no_grad()
def logits_times(factor: float, model: Model, heads: slice = slice(None)) -> None:
    """Queries and keys of some heads times the root, in every layer."""
    for block in blocks(model):
        for part in (block.attention.qkv.weight, block.attention.qkv.bias):
            qk = part[: 2 * WIDTH].view(2, HEADS, -1)
            qk[:, heads] *= factor**0.5


@torch.no_grad()
def embeddings_times(factor: float, model: Model) -> None:
    model.module.embedding.weight *= factor


@torch.no_grad()
def blocks_exchanged(model: Model) -> None:
    first, *_, last = blocks(model)
    ours, theirs = (copy.deepcopy(block.state_dict()) for block in (first, last))
    first.load_state_dict(theirs)
    last.load_state_dict(ours)


@torch.no_grad()
def heads_exchanged(model: Model) -> None:
    """Values of the heads go to each other's place."""
    for block in blocks(model):
        out = block.attention.out.weight
        out.copy_(out.view(WIDTH, HEADS, -1).roll(1, dims=1).reshape(WIDTH, WIDTH))


def masked(mask: Any, model: Model) -> None:
    model.module.encoder.masks = [mask]


@torch.no_grad()
def encoding_times(factor: float, model: Model) -> None:
    for parameter in model.module.positional.parameters():
        parameter *= factor


@torch.no_grad()
def one_class(model: Model) -> None:
    model.module.head.bias[0] += 100


@torch.no_grad()
def redrawn(model: Model) -> None:
    """One block as it was drawn."""
    block: Any = blocks(model)[-1]
    block.initialise(0.1)


def blind_to_padding(model: Model) -> Model:
    """The model never hears of lengths; half of the sequences have padding."""
    encoder = model.module.encoder
    original = encoder.forward
    encoder.forward = lambda x, lengths=None, **kwargs: original(x, **kwargs)  # type: ignore[method-assign]
    return model


def blocks(model: Model) -> Any:
    return model.module.encoder.blocks


TABLE, BIAS, ADDED = {"table"}, {"T5Bias"}, {"table", "Sinusoidal"}
ANY = TABLE | BIAS | ADDED | {"RoPE", "ALiBi"}


class Plant(NamedTuple):
    """A fault of evaluation.

    Args:
        right: Numbers of the ailments that name it; any one will do.
        encodings: Where it can be planted.
        plant: Plants it.
        of: "token", "class" (a head with a bias), "wide" (bidirectional) or "" for all models.
        silent: Whether it need not cost accuracy to be one.
    """

    right: set[int]
    encodings: set[str]
    plant: Callable[[Model], Model | None]
    of: str = ""
    silent: bool = False


EVALUATED = {
    "rows of the table shuffled": Plant({14}, TABLE, rows_shuffled),
    "rows of the table rolled by one": Plant({14}, TABLE, rows_rolled),
    "positions off by one": Plant({14}, ADDED, partial(positions_changed, lambda p: p + 1)),
    "positions off by three": Plant({14}, ADDED, partial(positions_changed, lambda p: p + 3)),
    "positions twice as far apart": Plant({14}, ANY, partial(positions_changed, lambda p: 2 * p)),
    "positions backwards": Plant({14}, ANY, partial(positions_changed, lambda p: p.flip(1))),
    "all positions 0 in evaluation": Plant(
        {10, 14}, ANY, partial(positions_changed, lambda p: 0 * p)
    ),
    "left padding, positions count it": Plant({14}, ANY, left_padded),
    "classes renumbered": Plant({14}, ANY, partial(targets_changed, lambda t, n: (t + 1) % n)),
    "targets a place late": Plant({14}, ANY, targets_late, "token"),
    "token ids off by one": Plant({14}, ANY, tokens_renumbered),
    "logits × .01": Plant({7}, ANY, partial(logits_times, 0.01)),
    "logits × 100": Plant({7}, ANY, partial(logits_times, 100.0)),
    "half of the heads × 300": Plant(
        {7}, ANY, partial(logits_times, 300.0, heads=slice(0, HEADS // 2)), silent=True
    ),
    "embeddings × 30 in evaluation": Plant({14}, ANY, partial(embeddings_times, 30.0)),
    "table × 20 in evaluation": Plant({14}, TABLE, partial(encoding_times, 20.0)),
    "bias × 40 in evaluation": Plant({7, 14}, BIAS, partial(encoding_times, 40.0)),
    "first and last block exchanged": Plant({14}, ANY, blocks_exchanged),
    "values of heads exchanged": Plant({14}, ANY, heads_exchanged),
    "causal mask in evaluation alone": Plant({14}, ANY, partial(masked, Causal()), "wide"),
    "window of 2 in evaluation alone": Plant({14}, ANY, partial(masked, Window(2)), "wide"),
    "one class always": Plant({14}, ANY, one_class, "class"),
    "last block as it was drawn": Plant({14}, ANY, redrawn),
    "padding is seen": Plant({15}, ANY, blind_to_padding, "wide", silent=True),
}


def fits(plant: Plant, model: Model) -> bool:
    """Whether a fault can be planted in a model of its encodings."""
    causal = model.module.encoder.dims.causal
    per_token = not isinstance(model.module, SequenceClassifier)
    has_bias = isinstance(getattr(model.module, "head", None), nn.Linear)
    return {"": True, "token": per_token, "class": has_bias, "wide": not causal}[plant.of]


def planted(plant: Plant, model: Model) -> Model:
    """A copy with the fault."""
    model = model._replace(module=copy.deepcopy(model.module))
    return plant.plant(model) or model
