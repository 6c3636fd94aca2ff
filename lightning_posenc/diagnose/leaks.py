"""Does a token read what it must not: the tokens after it, padding, or another document?

Shapes: B sequences, T tokens, D = d_model.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.data.batch import Batch, are_ids
from lightning_posenc.diagnose.packing import packing_leak
from lightning_posenc.diagnose.subject import OtherModel, OwnModel
from lightning_posenc.diagnostics.measures.order_sensitivity import change_over_spread
from lightning_posenc.diagnostics.observing.made_tokens import tokens_changed
from lightning_posenc.positions import Sequences
from lightning_posenc.tasks import IGNORE

N_READ = 8  # sequences
N_PADS = 2  # tokens of padding put behind every sequence
N_FRAMES = 8  # the same in frames, of which several make a token


class Leaks(NamedTuple):
    """Changes of what must not change, over the spread of the states or answers.

    Args:
        said_causal: Whether the model is one whose tokens see only their past.
        next_token: Whether the targets are the tokens that follow, so that none may be seen.
        future: Change of the states of a first half, when the tokens of the second half are
            others; 0 for a causal model.
        padding: Change of the answers, when the tokens of padding behind the end are others; None
            if the model refuses padding, or is another package's (`whereabouts` pads those).
        packed: Change of the states of a row's second document by the first; None if the data put
            no documents side by side.
    """

    said_causal: bool
    next_token: bool
    future: float
    padding: float | None
    packed: float | None = None


@torch.no_grad()
def measure_leaks(subject: OwnModel) -> Leaks:
    """Change tokens out of sight, and look whether anything moves."""
    batch = subject.batch.first(N_READ)
    if subject.vocab_size is None:
        return Leaks(
            subject.encoder.dims.causal,
            False,
            _future_of_made_tokens(subject, batch),
            _padding_of_frames(subject, batch),
        )
    with torch.random.fork_rng(devices=()):
        batch = batch._replace(positions=placed(subject, batch))
    assert batch.positions is not None
    return Leaks(
        subject.encoder.dims.causal,
        _is_next_token(subject.batch),
        _future(subject, batch),
        _padding(subject, batch),
        packing_leak(subject, batch.positions, batch),
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
    if subject.module.placed_by_inputs and (there := subject.embedding.places(tokens)) is not None:
        return there.values
    told = Sequences(
        len(tokens),
        subject.n_tokens(batch),
        tokens.device,
        batch.documents,
        subject.token_lengths(batch),
        tokens if are_ids(tokens) else None,
    )
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
    other[:, cut:] = _others(tokens[:, cut:], subject.vocab_size or 1)
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
        for fill in (pads, _others(pads, subject.vocab_size or 1)):
            behind = torch.arange(length + N_PADS, device=tokens.device) >= ends[:, None]
            row = torch.cat([tokens, fill], dim=1)
            row = torch.where(behind, fill[:, :1], row)
            out = subject.outputs(padded._replace(tokens=row))
            found.append(out if subject.writes or out.dim() == 2 else out[:, :length][real])
    except ValueError:  # a sampler or an encoding that serves no padding
        return None
    return float(change_over_spread(*found))


def _future_of_made_tokens(subject: OwnModel, batch: Batch) -> float:
    """The second half is that of another sequence."""
    cut = subject.length // 2

    def swapped(x: Tensor) -> Tensor:
        return torch.cat([x[:, :cut], x.roll(1, 0)[:, cut:]], dim=1)

    before = subject.module.encode(batch.tokens, batch)
    if cut == 0 or before.shape[1] != subject.length:  # stages that end with fewer see both sides
        return 0.0
    with tokens_changed(subject.embedding, swapped):
        after = subject.module.encode(batch.tokens, batch)
    return float(change_over_spread(before[:, :cut], after[:, :cut]))


def _padding_of_frames(subject: OwnModel, batch: Batch) -> float | None:
    """Behind every sequence stand zeros, then frames of others; None where nothing is padded."""
    frames = batch.tokens
    if not subject.embedding.reads_lengths or frames.dim() != 3:
        return None
    n_sequences, length = frames.shape[:2]
    ends = batch.lengths
    if ends is None:
        ends = torch.full((n_sequences,), length, device=frames.device)
    behind = torch.arange(length + N_FRAMES, device=frames.device) >= ends[:, None]
    wide = torch.cat([frames, frames[:, :1].expand(-1, N_FRAMES, -1)], dim=1)
    found = []
    try:
        for fill in (torch.zeros_like(wide), wide.roll(1, 0).flip(1)):
            row = torch.where(behind.unsqueeze(-1), fill, wide)
            out = subject.outputs(batch._replace(tokens=row, lengths=ends))
            real = (
                torch.arange(out.shape[1], device=out.device)
                < subject.embedding.lengths(ends)[:, None]
            )
            found.append(out[real] if out.dim() == 3 and not subject.writes else out)
    except ValueError:  # a sampler or an encoding that serves no padding
        return None
    return float(change_over_spread(*found))


def _others(tokens: Tensor, n_symbols: int) -> Tensor:
    """Another token in each place."""
    step = torch.randint(
        1, max(n_symbols, 2), tokens.shape, generator=torch.Generator().manual_seed(0)
    )
    return (tokens + step.to(tokens.device)) % n_symbols
