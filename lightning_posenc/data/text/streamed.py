"""Text that is larger than memory: read, tokenised, packed and shuffled as it is asked for.

The stream is endless: pass after pass over the source. In a pass the files of several come in a
new order, blocks are cut from documents laid end to end, and a buffer of blocks shuffles them.

Where the number of files is a multiple of the number of ranks, each rank reads files of its own;
otherwise each reads all of the text and takes every W-th block. Worker processes share the files
of their rank. So with one file a batch depends on (text, seed, number of the batch) alone, as
elsewhere; with several it depends on the number of ranks and of workers besides.
"""

from collections.abc import Callable, Iterator
from itertools import count, islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from lightning_posenc.data.batch import Batch
from lightning_posenc.data.text.packing import next_token_batch
from lightning_posenc.data.text.reading import readable
from lightning_posenc.data.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from datasets import IterableDataset as Rows

Block = tuple[NDArray[np.int32], NDArray[np.int32]]
AT_ONCE = 256  # documents that are tokenised at once


class StreamedBlocks(IterableDataset[Block]):
    """An endless stream of blocks, one rank's share: T + 1 ids, and the number of their documents.

    Args:
        rows: the documents.
        path: what errors call the source.
        column: which column holds the text.
        vocabulary: maps text to ids.
        length: T.
        seed: any integer.
        shuffle_buffer: blocks in the buffer that shuffles; 0 or 1 for the order of the text.
        rank: r, number of this rank.
        world_size: W, number of ranks.
    """

    def __init__(
        self,
        rows: "Rows",
        path: str,
        column: str,
        vocabulary: Vocabulary,
        length: int,
        seed: int,
        shuffle_buffer: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        from datasets.distributed import split_dataset_by_node

        if rows.num_shards > 1:  # the order of the files; blocks are shuffled below
            rows = rows.shuffle(seed=seed, buffer_size=1)
        self.own_files = rows.num_shards % world_size == 0
        if self.own_files:
            rows = split_dataset_by_node(rows, rank, world_size)
        self.n_files = rows.num_shards // (world_size if self.own_files else 1)
        self.batches = rows.batch(AT_ONCE)
        self.path = path
        self.column = column
        self.vocabulary = vocabulary
        self.length = length
        self.seed = seed
        self.shuffle_buffer = shuffle_buffer
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[Block]:
        if self.own_files:
            return self._passes()
        return islice(self._passes(), self.rank, None, self.world_size)

    def _passes(self) -> Iterator[Block]:
        worker = get_worker_info()
        reader = [self.rank if self.own_files else 0, worker.id if worker else 0]
        for number in count():
            self.batches.set_epoch(number)
            rng = np.random.default_rng([abs(self.seed), number, *reader])
            found = False
            for block in shuffled(self._pass(), self.shuffle_buffer, rng):
                found = True
                yield block
            if not found:
                raise ValueError(
                    f"data.path={self.path}: a file holds too little text for one block of "
                    f"{self.length} tokens: choose shorter blocks or give more text"
                )

    def _pass(self) -> Iterator[Block]:
        """Blocks of one pass in the order of the text; a tail that fills none is dropped."""
        ids, numbers = np.zeros(0, np.int32), np.zeros(0, np.int32)
        n_documents = 0
        with readable(self.path):
            for batch in self.batches:
                new = [self.vocabulary.encode(text or "") for text in batch[self.column]]
                names = np.arange(n_documents, n_documents + len(new), dtype=np.int32)
                n_documents += len(new)
                ids = np.concatenate([ids, *new])
                numbers = np.concatenate([numbers, names.repeat([len(text) for text in new])])
                n_blocks = max(0, (len(ids) - 1) // self.length)
                for start in range(0, n_blocks * self.length, self.length):
                    block = slice(start, start + self.length + 1)
                    # Copies: a view in the buffer would keep the whole batch in memory.
                    yield ids[block].copy(), numbers[block].copy()
                ids, numbers = ids[n_blocks * self.length :], numbers[n_blocks * self.length :]


def shuffled(items: Iterator[Any], size: int, rng: np.random.Generator) -> Iterator[Any]:
    """Shuffle a stream through a buffer: each item takes the place of a random one, which leaves.

    Args:
        items: the stream.
        size: items in the buffer; with fewer than 2 nothing moves.
        rng: draws the places.
    """
    if size < 2:
        yield from items
        return
    buffer = list(islice(items, size))
    for item in items:
        place = int(rng.integers(size))
        yield buffer[place]
        buffer[place] = item
    for place in rng.permutation(len(buffer)):
        yield buffer[place]


class Collate:
    """Blocks to a batch.

    Args:
        separate_documents: as in `next_token_batch`.
        reset_positions: as in `next_token_batch`.
    """

    def __init__(self, separate_documents: bool, reset_positions: bool) -> None:
        self.separate_documents = separate_documents
        self.reset_positions = reset_positions

    def __call__(self, blocks: list[Block]) -> Batch:
        rows, numbers = (np.stack(parts) for parts in zip(*blocks, strict=True))
        asked = self.separate_documents or self.reset_positions
        documents = numbers - numbers[:, :1] if asked else None
        return next_token_batch(rows, documents, self.separate_documents, self.reset_positions)


class Epochs:
    """So many batches of an endless loader at a time: an epoch goes on where the last one ended.

    A resumed run reads and tokenises again what was trained on, without training on it, and goes
    on with the very batch that it would have seen.

    Args:
        loader: yields the batches of this rank without end.
        n_batches: batches in an epoch, the same on every rank.
        consumed: number of batches already trained on, asked whenever iteration starts.
    """

    def __init__(self, loader: DataLoader, n_batches: int, consumed: Callable[[], int]) -> None:
        self.loader = loader
        self.n_batches = n_batches
        self.consumed = consumed
        self._batches: Iterator[Batch] | None = None
        self._next = 0

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[Batch]:
        first = self.consumed()
        if self._batches is None or first < self._next:
            self._batches, self._next = iter(self.loader), 0
        for _ in range(first - self._next):
            self._take(self._batches)
        for _ in range(self.n_batches):
            yield self._take(self._batches)

    def _take(self, batches: Iterator[Batch]) -> Batch:
        try:
            batch = next(batches)
        except ValueError as error:
            # A worker's error comes with its traceback, of which the last line says what is wrong.
            line = str(error).strip().splitlines()[-1]
            raise ValueError(line.removeprefix("ValueError: ")) from error
        self._next += 1
        return batch

    def state_dict(self) -> dict[str, int]:
        """Nothing: see `StreamLoader`."""
        return {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Nothing: there is no state."""


def endless_loader(
    blocks: StreamedBlocks, batch_size: int, collate: Collate, num_workers: int, pin_memory: bool
) -> DataLoader:
    """Batches of one rank without end; a worker without a file to read is not started."""
    num_workers = min(num_workers, blocks.n_files)
    return DataLoader(
        blocks,
        batch_size=batch_size,
        collate_fn=collate,
        num_workers=num_workers,
        pin_memory=pin_memory,
        # One of its own: to start workers must not move the global one.
        generator=torch.Generator().manual_seed(abs(blocks.seed)),
    )
