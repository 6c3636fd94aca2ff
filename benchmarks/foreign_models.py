"""Small models of several kinds of data, for `foreign_faults.py`."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from lightning_posenc.data import Batch, SyntheticData, TextData
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
    RoPE,
    Sinusoidal,
    T5Bias,
)
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
        causal: Whether its models see the past alone; text's do whatever this says.
    """

    task: Callable[[], Task] | None
    length: int
    encodings: dict[str, Factory]
    solved: float
    steps: int
    causal: bool = False


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
    if kind.causal:
        of_module.setdefault("causal", True)
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
