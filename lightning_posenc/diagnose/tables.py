"""Have all the entries of a learned table been trained that longer sequences would use?

Shapes: N rows, D channels.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightning_posenc.data import Batch
from lightning_posenc.diagnose.subject import OtherModel, OwnModel, Subject
from lightning_posenc.positions import Consecutive
from lightning_posenc.pretrained.where_positions import InTable, what_positions

DRAWS = 64  # batches of one sequence, where positions are drawn at random
WINDOW = 16  # rows whose neighbours are compared


class Tables(NamedTuple):
    """Entries of learned positional parameters that no training sequence reaches.

    Args:
        entries: Number of entries.
        idle: Share of them that no training sequence has a gradient for.
        used: By tested length beyond that of training, the share of the entries used there that
            training does not reach.
        neighbours: Cosines of neighbouring rows, means over windows of rows; empty if there is no
            table of rows.
        sizes: Root mean squares of the same windows.
    """

    entries: int
    idle: float
    used: dict[int, float]
    neighbours: list[float]
    sizes: list[float] = []  # noqa: RUF012 (of a tuple, never changed)


def measure_tables(subject: Subject) -> Tables:
    """Look at all positional parameters, whatever their shape: what has no gradient is not used."""
    if isinstance(subject, OtherModel):
        table = position_table(subject.pretrained.model)
        return Tables(
            0 if table is None else table.numel(), 0.0, {}, _neighbours(table), _sizes(table)
        )
    assert isinstance(subject, OwnModel)
    parameters = [p for p in subject.positional_parameters if p.dim() >= 2]
    if not parameters:
        return Tables(0, 0.0, {}, [])
    trained = _reached(subject, list(subject.batches), parameters, training=True)
    used: dict[int, float] = {}
    for length, batches in subject.others.items():
        if length <= subject.trained_length:
            continue
        try:
            reached = _reached(subject, batches, parameters, training=False)
        except ValueError:  # a length that the encoding refuses
            continue
        count = int(reached.sum())
        used[length] = float((reached & ~trained).sum() / count) if count else 0.0
    rows = [p for p in parameters if p.dim() == 2 and p.shape[0] >= 2 * WINDOW]
    return Tables(
        trained.numel(),
        float((~trained).float().mean()),
        used,
        _neighbours(rows[0] if len(parameters) == 1 and rows else None),
    )


def _reached(
    subject: OwnModel, batches: list[Batch], parameters: list[nn.Parameter], training: bool
) -> Tensor:
    """Which entries have a gradient, in one long row."""
    sampler = subject.encoder.positions
    was = sampler.training
    random = not isinstance(sampler, Consecutive)
    n = DRAWS if random and training else 1
    wanted = [p.requires_grad for p in parameters]
    reached = torch.zeros(sum(p.numel() for p in parameters), dtype=torch.bool)
    try:
        sampler.train(training)
        for parameter in parameters:
            parameter.requires_grad_()
        for draw in range(n):
            states = subject.module.encode(*_one(batches[0], draw, n))
            grads = torch.autograd.grad(
                (states * torch.randn_like(states)).sum(), parameters, allow_unused=True
            )
            reached |= torch.cat(
                [
                    torch.zeros(p.numel(), dtype=torch.bool) if g is None else g.flatten() != 0
                    for p, g in zip(parameters, grads, strict=True)
                ]
            )
    finally:
        sampler.train(was)
        for parameter, want in zip(parameters, wanted, strict=True):
            parameter.requires_grad_(want)
    return reached


def _one(batch: Batch, draw: int, n_draws: int) -> tuple[Tensor, Batch]:
    """A whole batch for the only draw, one sequence of it for each of several."""
    if n_draws > 1:
        row = draw % len(batch.tokens)
        taken: Any = (None if x is None else x[row : row + 1] for x in batch)
        batch = Batch(*taken)
    return batch.tokens, batch


def position_table(model: nn.Module) -> Tensor | None:
    """The rows of the positions of anybody's model that has a learned table."""
    positions = what_positions(model)
    if not isinstance(positions, InTable):
        return None
    return model.get_parameter(positions.names[0]).detach().flatten(0, -2)[positions.offset :]


def _sizes(table: Tensor | None) -> list[float]:
    if table is None or table.shape[0] < 2 * WINDOW:
        return []
    whole = table.float()[: len(table) // WINDOW * WINDOW]  # few rows have no size to compare
    return [float(window.square().mean().sqrt()) for window in whole.split(WINDOW)]


def _neighbours(table: Tensor | None) -> list[float]:
    if table is None or table.shape[0] < 2 * WINDOW:
        return []
    rows = table.detach().float()
    cosine = nn.functional.cosine_similarity(rows[1:], rows[:-1], dim=-1)
    return [float(window.mean()) for window in cosine.split(WINDOW)]
