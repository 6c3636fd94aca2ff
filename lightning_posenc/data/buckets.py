"""The order of items in which those of a batch are alike in length."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from lightning_posenc.checks import MOST_STEPS, whole
from lightning_posenc.data.fixed import FixedData, FixedDataset
from lightning_posenc.data.order import ShuffledPasses
from lightning_posenc.draws import Draws


class BucketedPasses:
    """Shuffled passes, in which the items of each few batches are sorted by length.

    A bucket is `n_batches` consecutive global batches of the shuffled stream. Its items are sorted
    by length, those of pairs by that of the source and then by that of the answer, and cut into
    batches anew, which come in an order of their own. So a batch holds little padding, the same
    items are read, and their order depends on neither ranks nor restarts.

    Args:
        lengths: (N,) int64, tokens of each item; of pairs (N, 2), of both sides.
        seed: any integer.
        batch_size: elements in a global batch, at least 1.
        n_batches: batches of a bucket, at least 1; 1 changes no batch.
    """

    def __init__(self, lengths: Tensor, seed: int, batch_size: int, n_batches: int) -> None:
        self.passes: Callable[[Tensor], Tensor] = ShuffledPasses(len(lengths), seed)
        self.seed = seed
        self.batch_size = whole(self, "batch_size", batch_size)
        self.n_batches = whole(self, "n_batches", n_batches, most=MOST_STEPS)
        self.key = lengths
        if lengths.dim() == 2:
            self.key = lengths[:, 0] * (int(lengths[:, 1].max()) + 1) + lengths[:, 1]
        self._known: tuple[int, Tensor] | None = None

    def __call__(self, elements: Tensor) -> Tensor:
        """Dataset indices (N,) of stream elements (N,), at least 0."""
        size = self.batch_size * self.n_batches
        numbers, places = elements // size, elements % size
        items = torch.empty_like(elements)
        for number in numbers.unique().tolist():
            here = numbers == number
            items[here] = self._bucket(number)[places[here]]
        return items

    def _bucket(self, number: int) -> Tensor:
        """The items of a bucket, in the order of the stream."""
        if self._known is None or self._known[0] != number:
            size = self.batch_size * self.n_batches
            items = self.passes(torch.arange(number * size, (number + 1) * size))
            items = items[self.key[items].argsort(stable=True)]
            order = Draws(self.seed, "buckets", torch.tensor([number])).permutation(self.n_batches)
            self._known = number, items.unflatten(0, (-1, self.batch_size))[order[0]].flatten()
        return self._known[1]


class InBuckets(FixedData):
    """Fixed data whose items are of many lengths, padded to the longest of a batch.

    The datasets of a subclass tell `lengths()`, as `BucketedPasses` takes them.

    Args:
        path: where the items come from; a subclass says what it may be.
        bucket: batches whose items are sorted by length and shared out anew, at least 1; the
            larger, the less padding.
        options: those of `FixedData`.

    Raises:
        ValueError: if a number is out of range.
    """

    def __init__(self, path: Any = None, *, bucket: int = 1, **options: Any) -> None:
        super().__init__(path, **options)
        self.bucket = whole(self, "bucket", bucket, most=MOST_STEPS)

    def options(self) -> dict[str, Any]:
        return {"bucket": self.bucket, **super().options()}

    def order(self) -> dict[str, Any]:
        return {**super().order(), "data.bucket": self.bucket}

    def _train_order(self, items: FixedDataset) -> Callable[[Tensor], Tensor]:
        if self.bucket == 1:
            return super()._train_order(items)
        lengths = cast(Any, items).lengths()
        return BucketedPasses(lengths, self.seed, self.batch_size, self.bucket)
