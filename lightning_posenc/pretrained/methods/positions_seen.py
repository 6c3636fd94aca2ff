"""The positions that a model's rotation is given, which attention itself is not told."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lightning_posenc.compat.transformers import rotary_places


class PositionsSeen:
    """Positions of the queries of the running pass, (B, T), and of the keys that they see."""

    def __init__(self) -> None:
        self.queries: Tensor | None = None

    def of(self, n_batch: int, n_queries: int, n_keys: int) -> tuple[Tensor, Tensor]:
        """Positions of queries (B, T) and keys (B, S).

        Keys of a cache stand one after another up to the last query: what was left out between
        them is not known any more.
        """
        assert self.queries is not None
        assert self.queries.shape[1] == n_queries
        queries = self.queries.expand(n_batch, -1)
        if n_keys == n_queries:
            return queries, queries
        back = torch.arange(n_keys - 1, -1, -1, device=queries.device)
        return queries, queries[:, -1:] - back


@contextmanager
def positions_seen(model: nn.Module) -> Iterator[PositionsSeen]:
    """Within, what each pass of a rotary model was given as positions."""
    seen = PositionsSeen()

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.queries = positions_given(args, kwargs)

    with ExitStack() as undone:
        for place in rotary_places(model):
            hook = place.module.register_forward_pre_hook(note, with_kwargs=True)
            undone.callback(hook.remove)
        yield seen


def positions_given(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """The positions (B, T) among the arguments of a rotary module: (x, position_ids, …)."""
    positions: Tensor = kwargs["position_ids"] if "position_ids" in kwargs else args[1]
    return positions
