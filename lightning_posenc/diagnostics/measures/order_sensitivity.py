"""Does a model use order? Its outputs when tokens or their positions are moved.

Shapes: B sequences, T tokens, C channels.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.checks import kinds_checked, whole


class OrderChanges(NamedTuple):
    """Relative changes of the outputs, ‖f' - f‖ / ‖f‖, means over sequences; 0 is no change.

    Outputs of every token are compared at the places after those that moved, which see the same
    tokens in another order, in a causal model too; outputs of a sequence are compared whole.

    Args:
        swapped: Two tokens, at T/4 and at T/2, change places (sequences where they are the same
            token are left out).
        shuffled: The first three quarters of the tokens are in random order.
        shifted: All positions are greater by T/4. Positions relative to one another stay: 0 for a
            shift-invariant encoding. NaN if the model refuses such positions or takes none.
        zeroed: All positions are 0. NaN likewise.
    """

    swapped: Tensor
    shuffled: Tensor
    shifted: Tensor
    zeroed: Tensor


@kinds_checked
@torch.no_grad()
def order_sensitivity(
    forward: Callable[[Tensor, Tensor | None], Tensor],
    tokens: Tensor,
    *,
    takes_positions: bool = True,
    seed: int = 0,
    places: Tensor | None = None,
) -> OrderChanges:
    """Measure how outputs change with order.

    Args:
        forward: Maps tokens (B, T, …) and positions (1, T), None for the model's own, to outputs:
            of every token (B, T, …), or of a sequence (B, C). A deterministic one: without dropout
            and with positions that are not drawn at random.
        tokens: (B, T) ids of full sequences, or (B, T, D) embedded; T at least 4.
        takes_positions: Whether `forward` heeds the positions.
        seed: Of the shuffle.
        places: (1, T, A) where the tokens are if they stand on A axes, of which `forward` is then
            told others; they are shifted by a quarter of their extent on each axis.
    """
    n_tokens = tokens.shape[1]
    if n_tokens < 4:
        raise ValueError(f"order wants at least 4 tokens, got {n_tokens}")
    whole(order_sensitivity, "seed", seed, 0, 2**63 - 1)
    early, late, last = n_tokens // 4, n_tokens // 2, 3 * n_tokens // 4
    before = forward(tokens, None)
    ids = torch.arange(n_tokens, device=tokens.device)

    swap = ids.clone()
    swap[early], swap[late] = late, early
    swapped = _change(before, forward(tokens[:, swap], None), late + 1, n_tokens)
    differ = (tokens[:, [early]] != tokens[:, [late]]).flatten(1).any(dim=1)

    shuffle = ids.clone()
    shuffle[:last] = torch.randperm(last, generator=_seeded(seed)).to(ids)
    shuffled = _change(before, forward(tokens[:, shuffle], None), last, n_tokens)

    def moved(positions: Tensor) -> Tensor:
        if not takes_positions:
            return shuffled.new_tensor(math.nan)
        try:
            after = forward(tokens, positions)
        except ValueError:  # a table that ends there
            return shuffled.new_tensor(math.nan)
        return _change(before, after, 0, n_tokens).mean()

    own, shift = ids.unsqueeze(0), early
    if places is not None:
        own, shift = places, max(1, int(places.amax() + 1) // 4)
    return OrderChanges(
        torch.where(differ, swapped, 0).sum() / differ.sum().clamp(min=1),
        shuffled.mean(),
        moved(own + shift),
        moved(torch.zeros_like(own)),
    )


def _change(before: Tensor, after: Tensor, first: int, n_tokens: int) -> Tensor:
    """Relative change of each sequence (B,), of its tokens from the first on."""
    if before.dim() > 2 and before.shape[1] == n_tokens:
        before, after = before[:, first:], after[:, first:]
    before, after = before.flatten(1).double(), after.flatten(1).double()
    size = before.norm(dim=1).clamp(min=torch.finfo(torch.float32).tiny)
    return (after - before).norm(dim=1) / size


@kinds_checked
@torch.no_grad()
def shuffle_change(before: Tensor, after: Tensor, order: Tensor) -> Tensor:
    """How far a model is from giving a shuffled sequence the shuffled outputs.

    ‖f(shuffled) - shuffled f‖ / ‖f - mean of f‖: 0 for a model that is blind to order, about √2
    where order decides everything.

    Args:
        before: (B, T, C) of every token, or (B, C) of a sequence: f of sequences as they are.
        after: f of the same in other orders.
        order: (B, T): at place t of them stands the token that stood at order_t.
    """
    if before.dim() > 2 and before.shape[1] == order.shape[1]:  # every token at its new place
        before = before.gather(1, order.unsqueeze(-1).expand(-1, -1, before.shape[-1]))
    return change_over_spread(before, after)


def change_over_spread(before: Tensor, after: Tensor) -> Tensor:
    """How far outputs (…, C) have moved: ‖after - before‖ / ‖before - its mean‖; 0 where nothing
    varies.
    """
    before, after = before.double(), after.double()
    spread = (before - before.flatten(0, -2).mean(dim=0)).norm()
    return torch.where(spread > 0, (after - before).norm() / spread, 0)


def shuffles(shape: tuple[int, int], lengths: Tensor | None = None, seed: int = 0) -> Tensor:
    """A permutation of every sequence's real tokens, (B, T); padding stays where it is.

    Args:
        shape: B, T.
        lengths: (B,) tokens of each sequence; None if all are full.
        seed: Of the shuffles.
    """
    whole(shuffles, "seed", seed, 0, 2**63 - 1)
    keys = torch.rand(shape, generator=_seeded(seed))
    if lengths is not None:
        places = torch.arange(shape[1])
        keys = torch.where(places < lengths.cpu()[:, None], keys, 1.0 + places)
    return keys.argsort(dim=1)


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
