"""Does attention spread over more keys as sequences grow, and is that what a score falls by?

Shapes: B sequences, T tokens, H heads.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.data import Batch
from lightning_posenc.diagnose.evaluation import N_TREATED, few_of
from lightning_posenc.diagnose.scores import Score, answers, score
from lightning_posenc.diagnose.subject import N_SEQUENCES, OtherModel, OwnModel, Subject
from lightning_posenc.diagnose.treatments import logits_times
from lightning_posenc.diagnostics.measures.dilution import Spread, dilution, spread
from lightning_posenc.diagnostics.observing.observe import observe
from lightning_posenc.model.kernels import Operands

PAIRS = 1 << 21  # of queries and keys that are looked at for each length, of one head
PARTS = (4, 2, 1)  # of the tokens of another package's model
SHARPER = (1.0, 2.0)  # times ln n / ln L: what logits are multiplied by
LOST = 0.9  # of the accuracy at the trained length, below which sharpening is tried


class Dilution(NamedTuple):
    """How attention changes with length.

    Args:
        lengths: Tokens of the sequences, ascending.
        slopes: By layer, of each head: growth of the entropy over that of uniform attention.
        best: By layer, of each head: mean weight of the best key at the shortest length.
        kept: By layer, of each head: what of it is left at the longest length, a share.
        sharpened: By length in the data's unit at which the accuracy falls: the best factor on
            the logits, the score as it is and the score with it.
    """

    lengths: tuple[int, ...]
    slopes: list[list[float]]
    best: list[list[float]]
    kept: list[list[float]]
    sharpened: Mapping[int, tuple[float, Score, Score]]


@torch.no_grad()
def measure_dilution(subject: Subject) -> Dilution | None:
    """Look at attention at the trained length and at longer ones; None where there is none to see,
    or one length alone.
    """
    found: dict[int, dict[int, Spread]] = {}
    for batch in _batches(subject):
        try:
            spreads = _spreads(subject, batch)
        except ValueError:  # a length that the model refuses
            continue
        n = subject.n_tokens(batch) if isinstance(subject, OwnModel) else batch.tokens.shape[1]
        if spreads:
            found[n] = spreads
    lengths = sorted(found)
    if len(lengths) < 2:
        return None
    first, last = found[lengths[0]], found[lengths[-1]]
    layers = [layer for layer in first if all(layer in found[n] for n in lengths)]
    return Dilution(
        tuple(lengths),
        [dilution([found[n][layer] for n in lengths]).tolist() for layer in layers],
        [first[layer].best.tolist() for layer in layers],
        [(last[layer].best / first[layer].best).tolist() for layer in layers],
        _sharpened(subject) if isinstance(subject, OwnModel) else {},
    )


def _batches(subject: Subject) -> list[Batch]:
    """A few sequences of each length, the trained one first."""
    if isinstance(subject, OwnModel):
        whole = {subject.trained_length: subject.batches, **subject.others}
        longer = [whole[n] for n in sorted(whole) if n >= subject.trained_length and whole[n]]
        return [_few(batches[0], subject.n_tokens(batches[0])) for batches in longer]
    assert isinstance(subject, OtherModel)
    few = subject.few.tokens
    cut = [few[:, : few.shape[1] // part] for part in PARTS if few.shape[1] // part >= 2]
    return [_few(Batch(tokens, tokens), tokens.shape[1]) for tokens in cut]


def _few(batch: Batch, n_tokens: int) -> Batch:
    return batch.first(max(2, min(N_SEQUENCES, PAIRS // n_tokens**2)))


def _spreads(subject: Subject, batch: Batch) -> dict[int, Spread]:
    """By layer."""
    found: dict[int, Spread] = {}
    lengths = subject.token_lengths(batch) if isinstance(subject, OwnModel) else None
    finite = True

    def take(operands: Operands) -> None:
        # Of windows, a row is a part of a sequence, and its padding nobody's.
        rows = None if lengths is None or len(lengths) != len(operands.q) else lengths
        found[seen.layers[-1]] = spread(operands, rows)

    def look(x: Tensor) -> None:
        nonlocal finite
        finite = finite and bool(x.isfinite().all())

    with observe(subject.observed, take_attention=take, take_hidden=look) as seen:
        subject.outputs(batch)
    return found if finite else {}


def _sharpened(subject: OwnModel) -> dict[int, tuple[float, Score, Score]]:
    """What logits that grow with ln n do for the lengths at which the accuracy falls."""
    n_trained = subject.length
    now = score(answers(subject.module, subject.batches))
    found: dict[int, tuple[float, Score, Score]] = {}
    if now is None:
        return found
    floor = subject.bound if subject.bound is not None and subject.bound < 1 else 0.0
    for length, batches in sorted(subject.others.items()):
        few = few_of(batches, N_TREATED)
        n_tokens = subject.n_tokens(few[0]) if few else 0
        if length <= subject.trained_length or n_tokens <= n_trained or n_trained < 2:
            continue
        try:
            before = score(answers(subject.module, few))
        except ValueError:
            continue
        if before is None or before.accuracy - floor >= LOST * (now.accuracy - floor):
            continue
        tried: list[tuple[float, Score]] = []
        for times in SHARPER:
            factor = times * math.log(n_tokens) / math.log(n_trained)
            with logits_times(subject, factor):
                after: Any = score(answers(subject.module, few))
            if after is not None:
                tried.append((factor, after))
        if tried:
            factor, after = max(tried, key=lambda each: each[1].accuracy)
            found[length] = (factor, before, after)
    return found
