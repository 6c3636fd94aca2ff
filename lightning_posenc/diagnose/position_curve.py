"""Where in the sequence must an answer stand to be found?

Shapes: B sequences, T tokens.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.data.batch import Batch, are_ids
from lightning_posenc.diagnose.subject import OwnModel

DEPTHS = 5  # equal parts of a sequence
LEAST = 8  # answers in a part, below which it is left out
N_SEQUENCES = 256
PAIRS = 1 << 24  # of tokens with tokens that are compared to find where answers stand


class PositionCurve(NamedTuple):
    """Accuracy by where the answer stands, at one length or several.

    Args:
        accuracy: By length in the data's unit, of each of DEPTHS parts from the start to the end:
            share of the answers there that are found; NaN where there are few.
    """

    accuracy: dict[int, list[float]]

    def u_index(self, length: int) -> float:
        """Accuracy at both ends less that in the middle: above 0 for a U (Liu et al. 2023,
        arXiv:2307.03172), below 0 where the middle is found best; NaN where a part is unknown.
        """
        curve = self.accuracy[length]
        middle = [each for each in curve[1:-1] if each == each]
        if not middle:
            return math.nan
        return (curve[0] + curve[-1]) / 2 - sum(middle) / len(middle)

    def worst(self, length: int) -> float | None:
        """The depth in (0, 1) at which fewest are found; None where no part is known."""
        known = [(each, part) for part, each in enumerate(self.accuracy[length]) if each == each]
        return (min(known)[1] + 0.5) / DEPTHS if known else None


@torch.no_grad()
def measure_position_curve(subject: OwnModel) -> PositionCurve | None:
    """Score answers by the place that they stand at; None where the data do not tell any."""
    if subject.vocab_size is None or subject.writes:
        return None
    found: dict[int, list[float]] = {}
    batches = {subject.trained_length: list(subject.batches), **subject.others}
    for length, of_length in sorted(batches.items()):
        right, scored = torch.zeros(DEPTHS), torch.zeros(DEPTHS)
        n = pairs = 0
        for index, batch in enumerate(of_length):
            if n >= N_SEQUENCES or pairs >= PAIRS or not are_ids(batch.tokens):
                break
            n, pairs = n + len(batch.tokens), pairs + batch.tokens.numel() * batch.tokens.shape[1]
            try:
                _, logits, targets = subject.module.score(batch, index)
            except ValueError:  # a length that the model refuses
                break
            where = answers_stand_at(batch, targets)
            if logits.shape[:-1] != where.shape:
                return None
            known = where >= 0
            ends = batch.tokens.shape[1] if batch.lengths is None else batch.lengths[:, None]
            part = (where * DEPTHS / ends).long().clamp(0, DEPTHS - 1)[known].cpu()
            hits = (logits.argmax(dim=-1) == targets)[known].float().cpu()
            scored.index_add_(0, part, torch.ones_like(hits))
            right.index_add_(0, part, hits)
        if (scored >= LEAST).any():
            shares = right / scored.clamp(min=1)
            found[length] = torch.where(scored >= LEAST, shares, math.nan).tolist()
    return PositionCurve(found) if found else None


def answers_stand_at(batch: Batch, targets: Tensor) -> Tensor:
    """The place of each target's answer, -1 where nobody knows: (B, T) or (B,).

    It is what the task says (`focus`) where one answer is asked; else the one place before the
    query at which the token stands that is asked for. One that is there twice tells nothing, nor
    does a text, of which every next token is asked.
    """
    tokens = batch.tokens
    asked = targets >= 0
    if batch.focus is not None:
        focus = batch.focus if targets.dim() == 1 else batch.focus[:, None].expand_as(targets)
        return torch.where(asked, focus, -1)
    if targets.dim() == 1 or asked.float().mean() > 0.5:
        return torch.full_like(targets, -1)
    places = torch.arange(tokens.shape[1], device=tokens.device)
    same = (tokens[:, None] == targets[:, :, None]) & (places < places[:, None])  # (B, T, S)
    once = asked & (same.sum(dim=-1) == 1)
    return torch.where(once, same.int().argmax(dim=-1), -1)
