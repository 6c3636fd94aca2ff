"""When may a model go on from what it remembers, and what of it will nobody see again?

Shapes: T new tokens, S' of those before them, S tokens in all.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lightning_posenc.masks import FAR, Mask, Span
from lightning_posenc.model import cache as caches
from lightning_posenc.model.cache import Cache
from lightning_posenc.model.mixers import Mixer
from lightning_posenc.positional.base import PositionalEncoding
from lightning_posenc.positions import Places

Masks = Sequence[Mask | None]


def check_continues(causal: bool, positions: Tensor | Places | None, length: int) -> None:
    """Refuse a cache where earlier states change with later tokens, or positions are missing.

    Args:
        causal: Whether nobody sees the future.
        positions: Of all tokens.
        length: S.

    Raises:
        ValueError: Saying what to do.
    """
    if not causal:
        raise ValueError(
            "a cache needs a causal model: in a bidirectional one the states of earlier tokens "
            "change with those that follow; read the whole sequence anew"
        )
    values = positions.values if isinstance(positions, Places) else positions
    if values is None or values.dim() < 2 or values.shape[1] != length:
        given = "none" if values is None else f"shape {tuple(values.shape)}"
        raise ValueError(
            f"a cache needs the positions of all {length} tokens, those in the cache included, "
            f"got {given}"
        )


def seen_later(masks: Masks, now: int, tokens: Tensor) -> Tensor:
    """Which tokens (S',) one that comes `now` or later may see, in any layer."""
    coming, known = Span(torch.tensor(now), torch.tensor(FAR)), Span(tokens, tokens)
    seen = torch.zeros_like(tokens, dtype=torch.bool)
    for mask in masks:
        seen |= torch.tensor(True) if mask is None else mask.reaches(coming, known)
    return seen


def most_remembered(positional: PositionalEncoding, masks: Masks, length: int) -> int:
    """How many tokens a cache holds at most while S are read one by one."""
    if positional.reads_all_keys:
        return length
    n_seen = int(seen_later(masks, length, torch.arange(length)).sum())
    return min(length, max(caches.ENOUGH, 2 * n_seen))


def made_room(
    cache: Cache, positional: PositionalEncoding, masks: Masks, n_new: int
) -> Tensor | None:
    """Forget what nobody will see again, in good time.

    Args:
        cache: What is remembered, of which that is dropped.
        positional: The model's encoding, which may read keys that nobody sees.
        masks: Who sees whom, layer by layer.
        n_new: T.

    Returns:
        Which tokens are remembered, and the new ones, (S' + T,); None if they are all S.
    """
    now = len(cache)
    if cache.is_full(n_new) and not positional.reads_all_keys:
        cache.forget(partial(seen_later, masks, now))
    return None if cache.n_remembered == now else cache.tokens(n_new)


def prepared(
    positional: PositionalEncoding, here: Places, places: Places, mixers: Sequence[Mixer]
) -> tuple[Any, Any]:
    """What an encoding prepares for the tokens at hand among all, and among themselves.

    Args:
        positional: The model's encoding.
        here: Where the tokens at hand are.
        places: Where all are; the same object if no others are in a cache.
        mixers: Those of all layers.
    """
    layers = range(positional.dims.n_layers)
    if here is places:
        found = positional.prepare(places, places)
        return found, found
    stay = [positional.keys_stay(layer) for layer in layers]
    at_hand = positional.prepare(here, here) if any(stay) else None
    turned = all(stay) and all(mixer.remembers_turned for mixer in mixers)
    if turned and all(positional.hooks(layer) <= {"transform"} for layer in layers):
        return at_hand, at_hand  # nothing is asked of the others, whose keys are turned
    return positional.prepare(here, places), at_hand
