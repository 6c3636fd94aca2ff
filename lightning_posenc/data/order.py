"""Which samples a batch holds: one stream, whatever ranks, workers or restarts there are.

Training is one endless, deterministic stream of elements. Global batch n holds the elements
n * G .. (n + 1) * G - 1, and rank r of W takes every W-th of them, from the r-th on. So the global
batches do not depend on W, and a run that is told how many of them it has already consumed goes
on with the next.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from lightning_posenc.checks import MOST_STEPS, is_a, whole
from lightning_posenc.draws import Draws

MOST_ITEMS = 2**31  # of a dataset: their order is held in memory


def share(batch_size: int, world_size: int) -> int:
    """Elements of a global batch that each rank has.

    Raises:
        ValueError: if the ranks cannot have equally many.
    """
    if batch_size % world_size:
        raise ValueError(
            f"data.batch_size={batch_size} cannot be shared by {world_size} ranks: "
            f"it is the size over all ranks, so choose a multiple of {world_size}"
        )
    return batch_size // world_size


def as_they_come(elements: Tensor) -> Tensor:
    """The order of an endless dataset: stream element e is sample e."""
    return elements


class ShuffledPasses:
    """The order of a finite dataset: pass after pass, each over all items in an order of its own.

    Stream element e belongs to pass floor(e / n_items). The order depends on neither the batch
    size nor the number of ranks.

    Args:
        n_items: size of the dataset, at least 1.
        seed: any integer.
    """

    def __init__(self, n_items: int, seed: int = 0) -> None:
        self.n_items = whole(self, "n_items", n_items, most=MOST_ITEMS)
        self.seed = whole(self, "seed", seed, -(2**63), 2**64 - 1)
        self._passes: dict[int, Tensor] = {}

    def _permutation(self, number: int) -> Tensor:
        if number not in self._passes:
            # A batch can straddle two passes: keep the last, drop what came before it.
            self._passes = {n: p for n, p in self._passes.items() if n == number - 1}
            draws = Draws(self.seed, "shuffle", torch.tensor([number]))
            self._passes[number] = draws.permutation(self.n_items)[0]
        return self._passes[number]

    def __call__(self, elements: Tensor) -> Tensor:
        """Dataset indices of stream elements.

        Args:
            elements: (N,) int64, at least 0.

        Returns:
            (N,) int64, in 0..n_items-1.
        """
        numbers, places = elements // self.n_items, elements % self.n_items
        items = torch.empty_like(elements)
        for number in numbers.unique().tolist():
            here = numbers == number
            items[here] = self._permutation(number)[places[here]]
        return items


class GlobalBatches(Sampler[list[int]]):
    """The shares of one rank in the next `n_batches` global batches; a `batch_sampler`.

    Args:
        batch_size: G, elements in a global batch, over all ranks.
        n_batches: global batches in an epoch, not negative.
        rank: r, number of this rank, 0..world_size-1.
        world_size: W, number of ranks; must divide G.
        consumed: number of global batches already trained on, asked whenever iteration starts.
        order: maps stream elements (N,) to dataset indices (N,).

    Raises:
        ValueError: if world_size does not divide batch_size.
    """

    def __init__(
        self,
        batch_size: int,
        n_batches: int,
        rank: int = 0,
        world_size: int = 1,
        consumed: Callable[[], int] = int,
        order: Callable[[Tensor], Tensor] = as_they_come,
    ) -> None:
        _check_sizes(self, batch_size, rank, world_size)
        share(batch_size, world_size)
        self.global_batch_size = batch_size
        self.n_batches = whole(self, "n_batches", n_batches, 0, MOST_STEPS)
        self.rank = rank
        self.world_size = world_size
        self.consumed = is_a(self, "consumed", consumed, Callable)
        self.order = is_a(self, "order", order, Callable)

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[list[int]]:
        first = self.consumed()
        size = self.global_batch_size
        for n in range(first, first + self.n_batches):
            elements = torch.arange(n * size + self.rank, (n + 1) * size, self.world_size)
            yield self.order(elements).tolist()


class EvalBatches(Sampler[list[int]]):
    """The share of one rank in a finite dataset, in order; a `batch_sampler`.

    Rank r of W takes items r, r + W, ...: each item is seen at most once, by one rank. If W does
    not divide their number, the last few, fewer than W, are left out: all ranks then hold equally
    many, so that none waits for another and a mean over ranks is the mean over items.

    Args:
        n_items: size of the dataset, at least world_size.
        batch_size: items in a batch over all ranks; at least one a rank is taken.
        rank: r, number of this rank, 0..world_size-1.
        world_size: W, number of ranks.

    Raises:
        ValueError: if some rank would get no item.
    """

    def __init__(self, n_items: int, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        _check_sizes(self, batch_size, rank, world_size)
        if whole(self, "n_items", n_items, 0, MOST_ITEMS) < world_size:
            raise ValueError(
                f"n_items={n_items} evaluation samples cannot be shared by {world_size} ranks: "
                f"evaluate on at most {n_items} devices or give more data"
            )
        # Lightning averages batch sizes over ranks as integers: unequal shares would put a bias
        # into every mean that is logged with sync_dist.
        items = torch.arange(rank, n_items // world_size * world_size, world_size)
        self.batches = items.split(max(1, batch_size // world_size))

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        for items in self.batches:
            yield items.tolist()


def _check_sizes(owner: object, batch_size: int, rank: int, world_size: int) -> None:
    whole(owner, "batch_size", batch_size)
    whole(owner, "world_size", world_size)
    whole(owner, "rank", rank, 0, world_size - 1)


def take(batch: Any) -> Any:
    """Collate function of datasets whose `__getitems__` already returns a batch."""
    return batch


class StreamLoader(DataLoader):
    """A loader of global batches, of which Lightning need not fear that it begins anew.

    It remembers nothing: where the stream goes on is told by `GlobalBatches.consumed`, and what
    must not change meanwhile is compared by the data module.
    """

    def state_dict(self) -> dict[str, int]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Nothing: there is no state."""
