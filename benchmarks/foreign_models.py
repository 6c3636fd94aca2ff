"""Small models of several kinds of data, and faults planted in them, for `foreign_faults.py`."""

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightning_posenc.data import Batch, SyntheticData, TextData
from lightning_posenc.masks import Causal, Window
from lightning_posenc.model import Plain
from lightning_posenc.model.encoder import EncoderSpec
from lightning_posenc.modules import (
    EncoderModule,
    LanguageModel,
    SequenceClassifier,
    TokenClassifier,
    WarmupCosine,
    parameter_groups,
)
from lightning_posenc.positional import (
    ALiBi,
    Factory,
    LearnedAbsolute,
    LearnedRelativeBias,
    RoPE,
    Sinusoidal,
    T5Bias,
)
from lightning_posenc.positions import Consecutive, Positions, Sequences
from lightning_posenc.tasks import (
    IGNORE,
    AssociativeRecall,
    IndexLookup,
    PositionPattern,
    Reverse,
    Shift,
    Task,
)

WIDTH, HEADS, LAYERS = 32, 4, 2
BATCH, RATE, WARMUP = 32, 5e-3, 20
CHECK = 50  # steps between two looks at the accuracy
LOST = 0.1  # of the accuracy: a smaller fall is no fault worth a name


class Kind(NamedTuple):
    """A kind of data, and what learns it.

    Args:
        task: The task; None for text.
        length: Tokens of a sequence, or symbols of a problem.
        encodings: Those that learn it, by name.
        solved: Accuracy that counts as learned.
        steps: At most.
    """

    task: Callable[[], Task] | None
    length: int
    encodings: dict[str, Factory]
    solved: float
    steps: int


ABSOLUTE = partial(LearnedAbsolute, max_length=256)
KINDS = {
    # Looked at while the thresholds were chosen.
    "PositionPattern": Kind(PositionPattern, 16, {"table": ABSOLUTE, "RoPE": RoPE}, 0.95, 800),
    "Reverse": Kind(Reverse, 12, {"table": ABSOLUTE, "Sinusoidal": Sinusoidal}, 0.95, 1000),
    # Kept for the judgement.
    "Shift": Kind(Shift, 16, {"table": ABSOLUTE, "T5Bias": T5Bias}, 0.95, 800),
    "AssociativeRecall": Kind(
        partial(AssociativeRecall, n_pairs=2, n_keys=8, n_values=8),
        12,
        {"RoPE": RoPE},
        0.95,
        1500,
    ),
    "IndexLookup": Kind(partial(IndexLookup, n_digits=2), 12, {"table": ABSOLUTE}, 0.95, 1500),
    "text": Kind(None, 32, {"ALiBi": ALiBi, "RoPE": RoPE}, 0.4, 600),
}


class Model(NamedTuple):
    """A module, its data, and the steps that it was trained for."""

    module: EncoderModule
    data: Any
    steps: int


def new(kind: Kind, encoding: Factory, seed: int, layers: int = LAYERS, **options: Any) -> Model:
    """An untrained model; `options` are the encoder's, or the module's where it takes them."""
    torch.manual_seed(seed)
    sizes = {"d_model": WIDTH, "n_heads": HEADS, "n_layers": layers, "init_std": 0.1}
    of_module = {name: options.pop(name) for name in ("causal", "positions") if name in options}
    spec = EncoderSpec(**{**sizes, **options})
    more: dict[str, Any] = {"positional": encoding, **of_module}
    if kind.task is None:
        data: Any = TextData(
            train_length=kind.length, batch_size=BATCH, eval_batch_size=64, seed=seed
        )
        data.prepare_data()
        data.setup()
        return Model(LanguageModel(spec, data.vocab_size, **more), data, 0)
    data = SyntheticData(kind.task(), kind.length, batch_size=BATCH, eval_samples=512, seed=seed)
    made = TokenClassifier if data.kind == "token" else SequenceClassifier
    return Model(made(spec, data.vocab_size, data.n_classes, **more), data, 0)


def trained(
    model: Model,
    steps: int,
    solved: float = 2.0,
    rate: float = RATE,
    change: Callable[[Batch], Batch] | None = None,
) -> Model:
    """Train until the accuracy on training batches reaches `solved`, or for so many steps."""
    module, data, _ = model
    groups = parameter_groups(module, module.positional, 0.0)
    optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=0.1, fused=True)
    schedule = WarmupCosine(optimizer, steps, warmup_steps=WARMUP)
    data.steps_per_epoch = steps
    module.train()
    right = scored = step = 0
    for step, batch in enumerate(data.train_dataloader(), start=1):
        loss, logits, targets = module.score(batch if change is None else change(batch), step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        real = targets != IGNORE
        right += int((logits.argmax(-1) == targets)[real].sum())
        scored += int(real.sum())
        if step % CHECK == 0:
            if right >= solved * scored:
                break
            right = scored = 0
        if step == steps:
            break
    module.zero_grad()
    module.eval()
    return Model(module, data, step)


# Faults of evaluation, planted in a copy of a healthy model.


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


# Faults of training, and trainings that are too short or hopeless.


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
