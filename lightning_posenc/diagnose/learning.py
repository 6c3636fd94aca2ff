"""Was the model trained at all, and can the data be learned?

Shapes: B sequences, T tokens.
"""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import nn

from lightning_posenc.data import Batch
from lightning_posenc.diagnose.scores import LEARNED
from lightning_posenc.diagnose.subject import OwnModel
from lightning_posenc.model.encoder import EncoderSpec
from lightning_posenc.model.inputs import Frames, Patches
from lightning_posenc.modules import (
    CTCModel,
    EncoderModule,
    ImageClassifier,
    LanguageModel,
    SequenceClassifier,
    SequenceToSequence,
    TokenClassifier,
    WarmupCosine,
    parameter_groups,
)
from lightning_posenc.positional import (
    Chain,
    Factory,
    LearnedAbsolute,
    LearnedGrid,
    LearnedRelativeBias,
)

RATE = 3e-3
STEPS = 300
WIDTH, HEADS, LAYERS = 32, 4, 2
ROWS = 32  # sequences of a batch
MOST_TOKENS = 4096  # of a batch of the trial
RECENT = 20  # steps over which the loss is averaged


class FreshTrial(NamedTuple):
    """A small fresh model, trained for a moment on the same data.

    Args:
        steps: That it was trained for.
        loss: Mean over the last RECENT of them, in nats.
        learned: Whether that is less than LEARNED of a guess's.
    """

    steps: int
    loss: float
    learned: bool


@torch.no_grad()
def movement(module: nn.Module) -> float | None:
    """How far training moved what starts at a known place: root mean square over the entries.

    Biases start at 0, gains of norms at 1. Adam moves an entry by about the sum of the learning
    rates at most, so that 300 steps at 1e-5 make 0.003. None if there are no such entries.
    """
    moved = []
    for part in module.modules():
        if isinstance(part, nn.LayerNorm | nn.RMSNorm) and part.weight is not None:
            moved.append(part.weight.flatten() - 1)
        bias = getattr(part, "bias", None)
        if isinstance(part, nn.Linear | nn.LayerNorm) and isinstance(bias, torch.Tensor):
            moved.append(bias.flatten())
    if not moved:
        return None
    return float(torch.cat([each.double() for each in moved]).square().mean().sqrt())


def attempt(subject: OwnModel, guess: float) -> FreshTrial | None:
    """Let a small model of the same kind try: what it learns in a moment can be learned.

    Args:
        subject: Whose data it is trained on.
        guess: Loss of the best single answer, in nats.

    Returns:
        None if the data or the kind of the model does not allow it.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        module = _fresh(subject)
        if module is None or not rows_of(subject):
            return None
        try:
            losses = trained_for_a_moment(module, subject, until=LEARNED * guess)
        except ValueError:  # positions on several axes, for one
            return None
    if len(losses) < RECENT:
        return None
    loss = sum(losses[-RECENT:]) / RECENT
    return FreshTrial(len(losses), loss, loss < LEARNED * guess)


def rows_of(subject: OwnModel) -> int:
    """Sequences of a batch of a trial, so that it has no more than MOST_TOKENS tokens."""
    return min(ROWS, MOST_TOKENS // max(subject.length, 1))


def trained_for_a_moment(
    module: EncoderModule, subject: OwnModel, steps: int = STEPS, until: float = 0.0
) -> list[float]:
    """Train on the subject's training data, and return the loss of each step, in nats.

    Args:
        module: What is trained.
        subject: Whose data it is trained on.
        steps: At most.
        until: Mean loss over RECENT steps at which it is enough.
    """
    groups = parameter_groups(module, module.positional, 0.0)
    optimizer = torch.optim.AdamW(groups, lr=RATE)
    schedule = WarmupCosine(optimizer, STEPS, warmup_steps=20)
    losses: list[float] = []
    with torch.enable_grad():
        for step, batch in enumerate(islice(_forever(subject, rows_of(subject)), steps)):
            loss = module.score(batch, step)[0]
            if not loss.isfinite():  # no target is scored
                continue
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
            if len(losses) >= RECENT and sum(losses[-RECENT:]) / RECENT < until:
                break
    return losses


def sound_encoding(length: int) -> Factory:
    """An encoding of both absolute and relative positions, which any task of order can be learned
    with.

    Args:
        length: T of training.
    """
    return Chain.of(
        partial(LearnedAbsolute, max_length=4 * max(length, 1)),
        partial(LearnedRelativeBias, max_distance=length),
    )


def _fresh(subject: OwnModel) -> EncoderModule | None:
    """An untrained model for the same data, with both absolute and relative positions."""
    module = subject.module
    spec = EncoderSpec(WIDTH, HEADS, LAYERS, init_std=0.1)
    positional = sound_encoding(subject.length)
    vocab_size = subject.vocab_size
    if vocab_size is None:
        return _fresh_of_others(subject, spec, positional)
    if isinstance(module, LanguageModel):
        return LanguageModel(
            spec,
            module.vocab_size,
            module.objective,
            module.mask_share,
            False,
            positional=positional,
        )
    if isinstance(module, SequenceToSequence):
        return SequenceToSequence(spec, vocab_size, module.n_classes, positional=positional)
    causal = subject.encoder.dims.causal
    if isinstance(module, SequenceClassifier):
        return SequenceClassifier(
            spec, vocab_size, module.n_classes, module.pooling, causal=causal, positional=positional
        )
    if isinstance(module, TokenClassifier):
        return TokenClassifier(
            spec, vocab_size, module.n_classes, causal=causal, positional=positional
        )
    return None


def _fresh_of_others(subject: OwnModel, spec: EncoderSpec, positional: Factory) -> Any:
    """Of patches, whose places are a table of the grid, or of frames."""
    module, inputs = subject.module, subject.embedding
    if type(inputs) is Patches and isinstance(module, ImageClassifier) and subject.grid is not None:
        rows, columns = subject.grid
        return ImageClassifier(
            spec,
            None,
            module.n_classes,
            inputs=partial(
                Patches,
                patch_size=inputs.patch_size,
                n_channels=inputs.n_channels,
                n_class_tokens=0,
            ),
            pooling="mean",
            positional=partial(LearnedGrid, height=rows, width=columns),
        )
    if type(inputs) is Frames and isinstance(module, CTCModel):
        return CTCModel(
            spec,
            None,
            module.n_classes,
            inputs=partial(Frames, n_features=inputs.n_features, subsampling=inputs.subsampling),
            positional=positional,
        )
    return None


def _forever(subject: OwnModel, rows: int) -> Iterator[Batch]:
    """Training batches of at most so many rows, again from the first when they end."""
    while True:
        batch = None
        for batch in subject.training():
            yield batch.first(rows)
        if batch is None:
            return
