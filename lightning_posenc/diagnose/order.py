"""Does the model's output change when its tokens stand in another order, and from which layer on?

Shapes: B sequences, T tokens, D channels, L blocks.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.data import Batch
from lightning_posenc.diagnose.subject import OwnModel, Subject
from lightning_posenc.diagnostics.measures.order_sensitivity import shuffle_change, shuffles
from lightning_posenc.diagnostics.observing.made_tokens import rearranged, tokens_changed
from lightning_posenc.diagnostics.observing.observe import observe
from lightning_posenc.modules.generators import random_state, set_random_state


class ShuffleChanges(NamedTuple):
    """Changes when every sequence is shuffled, each token followed to its new place.

    A change is that of `shuffle_change`: 0 for a model that is blind to order, about √2 where order
    decides everything.

    Args:
        states: L + 1 changes of the residual stream, before block 0 and after each block. Empty if
            there is none to see.
        outputs: Change of the outputs.
    """

    states: list[float]
    outputs: float


@torch.no_grad()
def measure_order(subject: Subject) -> ShuffleChanges:
    """Shuffle the examined sequences, or as many as are few; padding and class tokens stay where
    they are.

    Ids are shuffled themselves, for samplers may read them; of patches and frames the tokens that
    are made of them.
    """
    batch = subject.few
    moved: AbstractContextManager[None]
    if isinstance(subject, OwnModel) and subject.vocab_size is None:
        order, shuffled = _of_made_tokens(subject, batch), batch
        moved = tokens_changed(subject.embedding, rearranged(order))
    else:
        n_sequences, n_tokens = batch.tokens.shape
        order = shuffles((n_sequences, n_tokens), batch.lengths).to(batch.tokens.device)
        shuffled, moved = batch._replace(tokens=batch.tokens.gather(1, order)), nullcontext()
    # The same random positions for both, where the sampler draws some.
    with torch.random.fork_rng(devices=()), observe(subject.observed) as seen:
        state = random_state(subject.observed)
        before = [_told(subject, batch), *seen.hidden]
        set_random_state(subject.observed, state)
        with moved:
            after = [_told(subject, shuffled), *seen.hidden]
    changes = [shuffle_change(x, y, order) for x, y in zip(before, after, strict=True)]
    outputs, *states = torch.stack(changes).tolist()
    return ShuffleChanges(states, outputs)


def _of_made_tokens(subject: OwnModel, batch: Batch) -> Tensor:
    """An order (B, T) of the tokens that its inputs make."""
    first, device = subject.n_outside, batch.tokens.device
    lengths = subject.token_lengths(batch)
    shape = (len(batch.tokens), subject.length - first)
    inside = shuffles(shape, None if lengths is None else lengths - first).to(device) + first
    return torch.cat([torch.arange(first, device=device).expand(len(inside), -1), inside], dim=1)


def _told(subject: Subject, batch: Batch) -> Tensor:
    """The outputs; of an answer all in one, since its tokens do not follow those of the source."""
    outputs = subject.outputs(batch)
    return outputs.flatten(1) if subject.writes else outputs
