"""Does a decoder read its source, and how, layer by layer?

Shapes: B sequences, S tokens of a source, T of an answer, H heads.
"""

from typing import NamedTuple

import torch

from lightning_posenc.diagnose.subject import OwnModel
from lightning_posenc.diagnostics.measures.alignment import Alignment, align
from lightning_posenc.diagnostics.measures.order_sensitivity import change_over_spread
from lightning_posenc.diagnostics.observing.observe import observe
from lightning_posenc.model.kernels import Operands
from lightning_posenc.modules import SequenceToSequence
from lightning_posenc.modules.generators import random_state, set_random_state
from lightning_posenc.modules.teacher_forcing import answer_lengths


class SourceReading(NamedTuple):
    """What a decoder, told the right answers, makes of their sources.

    Args:
        swapped: Change of the outputs over their spread, when each answer is told another
            sequence's source: 0 where the source is not read.
        by_layer: Of each block's cross-attention, numbers of its H heads.
    """

    swapped: float
    by_layer: list[Alignment]


@torch.no_grad()
def measure_source(subject: OwnModel) -> SourceReading | None:
    """Read the examined answers with their own sources and with their neighbours'.

    Returns:
        None for a model that reads no source.
    """
    module, batch = subject.module, subject.batch
    if not isinstance(module, SequenceToSequence):
        return None
    found: list[Alignment] = []

    def take(_: int, operands: Operands) -> None:
        found.append(align(operands, lengths, batch.lengths))

    lengths = answer_lengths(batch.targets)
    neighbours = batch._replace(
        tokens=batch.tokens.roll(1, 0),
        lengths=None if batch.lengths is None else batch.lengths.roll(1, 0),
        positions=None if batch.positions is None else batch.positions.roll(1, 0),
    )
    # The same random positions for both, where a sampler draws some.
    with torch.random.fork_rng(devices=()):
        state = random_state(module)
        with observe(module.decoder, take_across=take):
            own = module.logits(batch)
        set_random_state(module, state)
        others = module.logits(neighbours)
    real = torch.arange(own.shape[1], device=own.device) < lengths.to(own.device).unsqueeze(1)
    return SourceReading(float(change_over_spread(own[real], others[real])), found)
