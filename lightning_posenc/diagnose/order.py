"""Does the model's output change when its tokens stand in another order, and from which layer on?

Shapes: B sequences, T tokens, D channels, L blocks.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.diagnose.subject import Patient
from lightning_posenc.diagnostics.observing.observe import observe
from lightning_posenc.modules.generators import random_state, set_random_state


class ShuffleChanges(NamedTuple):
    """Changes when every sequence is shuffled, each token followed to its new place.

    A change is ‖f(shuffled) - shuffled f‖ / ‖f - mean of f‖: 0 for a model that is blind to order,
    about √2 where order decides everything.

    Args:
        states: L + 1 changes of the residual stream, before block 0 and after each block. Empty if
            there is none to see.
        outputs: Change of the outputs.
    """

    states: list[float]
    outputs: float


@torch.no_grad()
def measure_order(patient: Patient) -> ShuffleChanges:
    """Shuffle the examined batch; padding stays where it is."""
    batch = patient.batch
    order = _shuffles(batch.tokens.shape, batch.lengths).to(batch.tokens.device)
    shuffled = batch._replace(tokens=batch.tokens.gather(1, order))
    # The same random positions for both, where the sampler draws some.
    with torch.random.fork_rng(devices=()), observe(patient.observed) as seen:
        state = random_state(patient.observed)
        before = patient.outputs(batch)
        hidden = list(seen.hidden)
        set_random_state(patient.observed, state)
        after = patient.outputs(shuffled)
        pairs = list(zip(hidden, seen.hidden, strict=True))
    return ShuffleChanges(
        [_change(_moved(x, order), y) for x, y in pairs],
        _change(_moved(before, order), after),
    )


def _shuffles(shape: torch.Size, lengths: Tensor | None) -> Tensor:
    """A permutation of each sequence's real tokens, (B, T)."""
    generator = torch.Generator().manual_seed(0)
    keys = torch.rand(tuple(shape), generator=generator)
    if lengths is not None:
        places = torch.arange(shape[1])
        keys = torch.where(places < lengths.cpu()[:, None], keys, 1.0 + places)
    return keys.argsort(dim=1)


def _moved(x: Tensor, order: Tensor) -> Tensor:
    """States (B, T, C) of tokens, each at its new place; (B, C) as it is."""
    if x.dim() < 3 or x.shape[1] != order.shape[1]:
        return x
    return x.gather(1, order.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


def _change(before: Tensor, after: Tensor) -> float:
    before, after = before.double(), after.double()
    spread = (before - before.flatten(0, -2).mean(dim=0)).norm()
    apart = (after - before).norm()
    return float(apart / spread) if spread > 0 else 0.0
