"""Does a token read what it must not: the tokens after it, or padding?

Shapes: B sequences, T tokens, D = d_model.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.data import Batch
from lightning_posenc.diagnose.subject import OtherModel, OwnModel
from lightning_posenc.diagnostics.measures.order_sensitivity import change_over_spread
from lightning_posenc.positions import Sequences
from lightning_posenc.tasks import IGNORE

N_READ = 8  # sequences
N_PADS = 2  # tokens of padding put behind every sequence


class Leaks(NamedTuple):
    """Changes of what must not change, over the spread of the states or answers.

    Args:
        said_causal: Whether the model is one whose tokens see only their past.
        next_token: Whether the targets are the tokens that follow, so that none may be seen.
        future: Change of the states of a first half, when the tokens of the second half are
            others; 0 for a causal model.
        padding: Change of the answers, when the tokens of padding behind the end are others; None
            if the model refuses padding, or is another package's (`whereabouts` pads those).
    """

    said_causal: bool
    next_token: bool
    future: float
    padding: float | None


@torch.no_grad()
def measure_leaks(subject: OwnModel) -> Leaks:
    """Change tokens out of sight, and look whether anything moves."""
    batch = subject.batch.first(N_READ)
    with torch.random.fork_rng(devices=()):
        batch = batch._replace(positions=placed(subject, batch))
    return Leaks(
        subject.encoder.dims.causal,
        _is_next_token(subject.batch),
        _future(subject, batch),
        _padding(subject, batch),
    )


@torch.no_grad()
def measure_other_leaks(subject: OtherModel) -> Leaks:
    """Change the tokens of the second half, and look whether states of the first half move."""
    tokens = subject.few.tokens[:N_READ]
    cut = tokens.shape[1] // 2
    other = tokens.clone()
    other[:, cut:] = _others(tokens[:, cut:], subject.pretrained.config.vocab_size)
    before, after = (subject.outputs(Batch(x, x))[:, :cut] for x in (tokens, other))
    causal = subject.pretrained.kind == "causal"
    return Leaks(causal, causal, float(change_over_spread(before, after)), None)


def placed(subject: OwnModel, batch: Batch) -> Tensor:
    """The positions (B|1, T) or (B|1, T, A) that the encoder works with."""
    if batch.positions is not None:
        return batch.positions
    tokens = batch.tokens
    n_sequences, length = tokens.shape[:2]
    told = Sequences(n_sequences, length, tokens.device, batch.documents, batch.lengths, tokens)
    drawn: Tensor = subject.encoder.positions(told)
    return drawn


def _is_next_token(batch: Batch) -> bool:
    """Whether the target of a token is the token that follows it."""
    if batch.targets.shape != batch.tokens.shape or batch.tokens.shape[1] < 2:
        return False
    targets, following = batch.targets[:, :-1], batch.tokens[:, 1:]
    real = targets != IGNORE
    return bool(real.any() and (targets == following)[real].all())


def _future(subject: OwnModel, batch: Batch) -> float:
    tokens = batch.tokens
    cut = tokens.shape[1] // 2
    if cut == 0:
        return 0.0
    other = tokens.clone()
    other[:, cut:] = _others(tokens[:, cut:], subject.embedding.vocab_size)
    before, after = (subject.module.encode(x, batch)[:, :cut] for x in (tokens, other))
    return float(change_over_spread(before, after))


def _padding(subject: OwnModel, batch: Batch) -> float | None:
    """Padding is put behind every sequence, at the place of its last token."""
    tokens, positions = batch.tokens, batch.positions
    assert positions is not None
    n_sequences, length = tokens.shape
    pads = tokens[:, -1:].expand(-1, N_PADS)
    ends = tokens.new_full((n_sequences,), length) if batch.lengths is None else batch.lengths
    documents = batch.documents
    padded = batch._replace(
        lengths=ends,
        positions=torch.cat(
            [positions, positions[:, -1:].expand(-1, N_PADS, *positions.shape[2:])], dim=1
        ),
        documents=None
        if documents is None
        else torch.cat([documents, documents[:, -1:].expand(-1, N_PADS)], dim=1),
    )
    real = torch.arange(length, device=tokens.device) < ends[:, None]
    found = []
    try:
        for fill in (pads, _others(pads, subject.embedding.vocab_size)):
            behind = torch.arange(length + N_PADS, device=tokens.device) >= ends[:, None]
            row = torch.cat([tokens, fill], dim=1)
            row = torch.where(behind, fill[:, :1], row)
            out = subject.outputs(padded._replace(tokens=row))
            found.append(out if subject.writes or out.dim() == 2 else out[:, :length][real])
    except ValueError:  # a sampler or an encoding that serves no padding
        return None
    return float(change_over_spread(*found))


def _others(tokens: Tensor, n_symbols: int) -> Tensor:
    """Another token in each place."""
    step = torch.randint(
        1, max(n_symbols, 2), tokens.shape, generator=torch.Generator().manual_seed(0)
    )
    return (tokens + step.to(tokens.device)) % n_symbols
