"""Several processes of one run that end in the same line say it once."""

import sys
import time
from datetime import timedelta
from typing import Any

_LINE, _HEARD = "lightning_posenc/refusal", "lightning_posenc/refusal/heard"
PATIENCE = 5.0  # seconds that ranks wait for each other


def said_by_first_rank(line: str) -> bool:
    """Whether the first rank says this very line, so that this one need not.

    The first rank tells the others by the group's store, and waits a moment for them to hear it,
    for the store may end with it. A rank that alone has something to say, or something else, says
    it.

    Args:
        line: What this rank would say.
    """
    store, rank, n_ranks = _group()
    if store is None or n_ranks < 2:
        return False
    try:
        if rank:
            store.wait([_LINE], timedelta(seconds=PATIENCE))
            is_same = bool(store.get(_LINE).decode() == line)
            store.add(_HEARD, 1)
            return is_same
        store.set(_LINE, line)
        until = time.monotonic() + PATIENCE
        while store.add(_HEARD, 0) < n_ranks - 1 and time.monotonic() < until:
            time.sleep(0.05)
    except RuntimeError:  # the other side is gone, or has nothing to say
        pass
    return False


def _group() -> tuple[Any, int, int]:
    """The store of this process's group, its rank there, and how many there are."""
    if "torch.distributed" not in sys.modules:
        return None, 0, 1
    from torch import distributed

    from lightning_posenc.compat.torch import store_of_group

    if not distributed.is_available() or not distributed.is_initialized():
        return None, 0, 1
    return store_of_group(), distributed.get_rank(), distributed.get_world_size()
