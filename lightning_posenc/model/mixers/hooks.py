"""The hooks of an encoding as a mixer calls them: what they give is compared with what it must be.

Shapes: B sequences, T queries, S keys, H heads, G key-value heads, K channels of a head.
"""

from typing import Any

from torch import Tensor

from lightning_posenc.positional.base import PositionalEncoding, Rescore, Site
from lightning_posenc.positional.branched import Branched
from lightning_posenc.positional.by_distance import ByDistance, Unwritten
from lightning_posenc.positional.returned import misgiven, returned


def transformed(positional: PositionalEncoding, site: Site) -> tuple[Tensor, Tensor]:
    """Queries (B, H, T, K') and keys (B, G|H, S, K').

    Raises:
        ValueError: On anything else.
    """
    found = positional.transform(site)
    if not isinstance(found, tuple) or len(found) != 2 or not isinstance(found[0], Tensor):
        raise misgiven(positional, "transform", found, "a pair: queries and keys")
    if _alike(found[0], site.q) and _alike(found[1], site.k):
        return found
    n_heads, width = site.q.shape[1], found[0].shape[-1]
    n_sequences, n_kv_heads, n_keys, _ = site.k.shape
    of_keys = (n_sequences, (n_kv_heads, n_heads), n_keys, width)
    q = returned(positional, "transform", found[0], (*site.q.shape[:3], width), site.q.dtype)
    return q, returned(positional, "transform", found[1], of_keys, site.k.dtype)


def _alike(found: Any, given: Tensor) -> bool:
    """Whether what was found looks as what was given, as it does most often."""
    if found is given:
        return True
    return isinstance(found, Tensor) and found.shape == given.shape and found.dtype == given.dtype


def _is_of_all(found: Any, shape: tuple[int, ...]) -> bool:
    return isinstance(found, Tensor) and found.shape == shape and found.is_floating_point()


def bias(positional: PositionalEncoding, site: Site) -> Tensor | Unwritten | None:
    """What is added to the logits, which broadcasts against (B, H, T, S).

    Raises:
        ValueError: On anything else.
    """
    found = positional.bias(site)
    if isinstance(found, ByDistance | Branched) or found is None:
        return found
    n_sequences, n_heads, n_queries, _ = site.q.shape
    n_keys = site.k.shape[2]
    if _is_of_all(found, (1, n_heads, n_queries, n_keys)):  # as most are
        return found
    sizes = (n_sequences, n_heads, n_queries, n_keys)
    return returned(positional, "bias", found, [(1, size) for size in sizes])


def rescore(positional: PositionalEncoding, site: Site) -> Rescore | None:
    """What maps logits (B, H, T, S) to such, or None.

    Raises:
        ValueError: On anything else, also where it is called.
    """
    found = positional.rescore(site)
    if found is None:
        return None
    if not callable(found):
        raise misgiven(positional, "rescore", found, "a function of the logits, or None")

    def compared(logits: Tensor) -> Tensor:
        return returned(positional, "rescore(site)", found(logits), logits.shape)

    return compared


def values(positional: PositionalEncoding, site: Site) -> Tensor:
    """Values (B, G|H, S, K).

    Raises:
        ValueError: On anything else.
    """
    if (found := positional.values(site)) is site.v:
        return found
    n_sequences, n_kv_heads, n_keys, width = site.v.shape
    shape = (n_sequences, (n_kv_heads, site.q.shape[1]), n_keys, width)
    return returned(positional, "values", found, shape, site.v.dtype)


def output(positional: PositionalEncoding, site: Site, mixed: Tensor) -> Tensor:
    """What becomes of what was mixed, (B, H, T, K).

    Raises:
        ValueError: On anything else.
    """
    found = positional.output(site, mixed)
    return (
        found if found is mixed else returned(positional, "output", found, mixed.shape, mixed.dtype)
    )
