"""Text for language models: any file, Python's own documentation, or a dataset on the Hub."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lightning_posenc.checks import MOST_STEPS, whole
from lightning_posenc.data.batch import Batch
from lightning_posenc.data.lengths import Lengths, within_blocks
from lightning_posenc.data.meaning import digest
from lightning_posenc.data.order import share
from lightning_posenc.data.text.base import CorpusData
from lightning_posenc.data.text.divided import divided, read_whole
from lightning_posenc.data.text.packing import AllBlocks, Blocks, Packed, pack
from lightning_posenc.data.text.reading import readable
from lightning_posenc.data.text.sources import load_rows, stamp, stream_rows
from lightning_posenc.data.text.streamed import Collate, Epochs, StreamedBlocks, endless_loader
from lightning_posenc.data.text.tokenised import Tokens, laid_out

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset


class TextData(CorpusData):
    """Next-token prediction on text that is cut into blocks of one length.

    Documents follow each other with nothing between them; a tail that fills no block is dropped.
    Training goes through all blocks, pass after pass, each in an order of its own. Validation and
    test read the validation text in order, in blocks of `train_length` and of each of
    `eval_lengths`, less the last few blocks if the ranks cannot share them equally.

    If the source has a validation split, it is used. Otherwise a single document is cut at its
    character floor((1 - val_fraction) * n), and of several the last go to validation. Tokenised
    text is cached where the `datasets` library caches.

    What happens where two documents meet in a block is two choices, each apart from the other:
    whether attention crosses (`separate_documents`), and whether positions start again
    (`reset_positions`). By default attention crosses and positions run on.

    With `streaming`, text larger than memory is read, tokenised and packed as it is asked for, from
    files or the Hub; every line of a .txt file is then a document. Nothing is cached.
    `steps_per_epoch` says how long an epoch is; the next one goes on where it ended. Blocks are
    shuffled in a buffer. The validation text is the first `val_documents` of the validation split,
    or of the only file, which training then leaves out. A resumed run reads again, without training
    on it, what it had trained on: it goes on with the very batch that it would have seen, at the
    price of that reading. `streaming.py` says what a batch depends on.

    Args:
        path: `python_docs` (ships with Python, one document a topic); a .txt (one document),
            .parquet, .json, .jsonl or .csv file (one document a row); or a dataset on the Hub.
        separate_documents: whether batches say which document each token belongs to, so that
            attention does not cross into another; the step across is then not scored.
        reset_positions: whether batches give positions that count from 0 at the start of a block
            and of every document, in place of those of `model.positions`. (With
            `separate_documents`, `model.positions=PerDocument` gives the same ones.)
        streaming: whether the text is never held in memory as a whole.
        shuffle_buffer: blocks in the buffer that shuffles a stream; 0 for the order of the text.
        val_documents: documents of a stream that are validated on.
        growth: how many tokens of a block are trained on, its first ones: GrowingLengths for a
            curriculum (Li, Zhang and He 2021, arXiv:2108.06084, section 4), StagedLengths for one
            length after another; None for all. One length for a global batch, that of
            the number of its first block in the stream.
        val_length: length of the blocks of validation; None for `train_length`.
        options: those of `CorpusData`; T, `train_length`, is the length of a block. Of a stream
            `steps_per_epoch` must be given, and `val_fraction` is not read.

    Raises:
        ValueError: if a number is out of range, or there is too little text.
        FileNotFoundError: if a file does not exist.
    """

    def __init__(
        self,
        path: str = "python_docs",
        *,
        separate_documents: bool = False,
        reset_positions: bool = False,
        streaming: bool = False,
        shuffle_buffer: int = 1000,
        val_documents: int = 1000,
        growth: Lengths | None = None,
        val_length: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(path, **options)
        self.separate_documents = separate_documents
        self.reset_positions = reset_positions
        if streaming and self.steps_per_epoch is None:
            raise ValueError(
                "data.steps_per_epoch is needed with data.streaming: the length of a stream is "
                "not known"
            )
        if streaming and self.vocabulary_name == "chars":
            raise ValueError(
                "data.vocabulary=chars is not known before all text was read: with "
                "data.streaming choose bytes, bpe, or the JSON file of a tokenizer"
            )
        self.streaming = streaming
        self.shuffle_buffer = whole(self, "shuffle_buffer", shuffle_buffer, 0)
        self.val_documents = whole(self, "val_documents", val_documents, most=MOST_STEPS)
        self.growth = within_blocks(growth, self.train_length)
        if val_length is not None:
            self.val_length = whole("data", "val_length", val_length)
        self._packed: dict[str, Packed] = {}
        self._readers: dict[str, Any] | None = None

    def options(self) -> dict[str, Any]:
        streamed = {
            "shuffle_buffer": self.shuffle_buffer,
            "val_documents": self.val_documents,
        }
        return {
            "separate_documents": self.separate_documents,
            "reset_positions": self.reset_positions,
            "streaming": self.streaming,
            "val_length": self.val_length,
            **(streamed if self.streaming else {}),
            **super().options(),
        }

    def stream(self) -> dict[str, Any]:
        if not self.streaming:
            return super().stream()
        if self._readers is None:
            self._readers = self._who_reads_what()
        return {**self.order(), **self._readers}

    def order(self) -> dict[str, Any]:
        streamed = {
            "data.train_length": self.train_length,
            "data.shuffle_buffer": self.shuffle_buffer,
            "data.val_documents": self.val_documents,
        }
        return {**super().order(), **(streamed if self.streaming else {})}

    def rows(self) -> "dict[str, Dataset]":
        columns = {"text_column": self.text_column}
        splits = load_rows(self.path, self.subset, columns, trains=not self._evaluates_other)
        if len(splits) > 1:
            splits.pop("test", None)  # the test reads the validation text
        return splits

    def prepare_data(self) -> None:
        """Load and tokenise once a machine; the `datasets` library caches the result."""
        if self.streaming:
            self._stream()
            _ = self.vocabulary
        else:
            self._tokenised()

    def setup(self, stage: str | None = None) -> None:
        """Read the tokens from the cache.

        Raises:
            ValueError: if there is no text, or too little for one block.
        """
        for split, length in self._asked(stage):
            n = len(self._packed_for(split).tokens)
            if n <= length:
                raise ValueError(
                    f"data.path={self.path}: {n} tokens of {split} text are too few for one "
                    f"block of {length}: choose shorter blocks or give more text"
                )
        self._say_what_is_read(stage)

    def take_over(self, meaning: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        before = self._vocabulary
        super().take_over(meaning, options)
        if self._vocabulary != before:
            self._packed = {}

    def _packed_for(self, split: str) -> Packed:
        """The part of the text that a split reads, read once."""
        part = self._part(split)
        if part not in self._packed:
            self._packed |= self._read(part == "all")
        return self._packed[part]

    def _read(self, reads_all: bool) -> dict[str, Packed]:
        """The parts of the text: all of it, or what is trained and what is validated on."""
        if not self.streaming:
            found = self._tokenised(reads_all)
            return {part: pack(laid_out(rows)) for part, rows in found.items()}
        splits = self._stream(reads_all)
        documents = splits["val"] if reads_all else splits["val"].take(self.val_documents)
        with readable(self.path):
            ids = [self.vocabulary.encode(text) for text in self._texts(documents)]
        sizes = np.array([len(text) for text in ids], dtype=np.int64)
        packed = pack(Tokens(np.concatenate([np.zeros(0, np.int32), *ids]), sizes))
        return {"all" if reads_all else "val": packed}

    def _asked(self, stage: str | None) -> Iterable[tuple[str, int]]:
        """Splits and lengths of which there must be a block."""
        if stage == "predict":
            return ()
        evaluated = [("val", length) for length in (self.val_length, *self.eval_lengths)]
        if self.streaming or self._evaluates_other:
            return evaluated
        return [("train", self.train_length), *evaluated]

    def _part(self, split: str) -> str:
        """Which part of the text a split reads."""
        if split == "train":
            return "train"
        return "all" if split == "predict" or self._evaluates_other else "val"

    def _extent(self, split: str) -> str:
        part = self._part(split)
        n = len(self._packed_for(split).tokens)
        which = ", all of it" if part == "all" else " that training left out"
        return f"the {n:,} tokens of {self.path}{which}"

    def train_dataloader(self) -> Iterable[Batch]:
        """The share of this rank in the stream of shuffled blocks."""
        return self._epochs() if self.streaming else super().train_dataloader()

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """The part of a training batch that is trained on now."""
        if self.growth is None or self.trainer is None or not self.trainer.training:
            return batch
        first = torch.tensor([self._consumed() * self.batch_size])
        return batch.cut(int(self.growth(self.seed, "train", first)))

    def _cut(self, split: str, length: int) -> None:
        """None: a block goes on where the one before ends; and a stream cannot be looked at."""

    def _dataset(self, split: str, length: int) -> Blocks:
        packed = self._packed_for(split)
        kind = AllBlocks if split == "predict" else Blocks
        return kind(*packed, length, self.separate_documents, self.reset_positions)

    def _stream(self, reads_all: bool = False) -> "dict[str, IterableDataset]":
        """The documents for training and validation, as they are read."""
        reads_all = reads_all or self._evaluates_other
        columns = {"text_column": self.text_column}
        splits = stream_rows(self.path, self.subset, columns, trains=not reads_all)
        if reads_all:
            return {"val": read_whole(splits)}
        train = splits["train"]
        if "val" in splits:
            return {"train": train, "val": splits["val"]}
        if train.num_shards > 1:
            raise ValueError(
                f"data.path={self.path} has {train.num_shards} files and no validation split: "
                "name one of the files validation, with data.streaming"
            )
        return {"train": train.skip(self.val_documents), "val": train}

    def _blocks(self, rank: int, world_size: int) -> StreamedBlocks:
        return StreamedBlocks(
            self._stream()["train"],
            self.path,
            self.text_column,
            self.vocabulary,
            self.train_length,
            self.seed,
            self.shuffle_buffer,
            rank,
            world_size,
        )

    def _epochs(self) -> Epochs:
        rank, world_size = self._rank_and_world_size()
        size = share(self.batch_size, world_size)
        blocks = self._blocks(rank, world_size)
        loader = endless_loader(
            blocks,
            size,
            Collate(self.separate_documents, self.reset_positions),
            self.num_workers,
            self._options(blocks)["pin_memory"],
        )
        assert self.steps_per_epoch is not None
        return Epochs(loader, self.steps_per_epoch, self._consumed)

    def _who_reads_what(self) -> dict[str, Any]:
        """What the order of a stream's blocks depends on besides the options."""
        rank, world_size = self._rank_and_world_size()
        blocks = self._blocks(rank, world_size)
        local = Path(self.path).expanduser().exists()
        sizes = [size for _, size, _ in stamp(self.path)] if local else []
        found: dict[str, Any] = {"content": digest(np.array(sizes)) if local else self.path}
        if blocks.n_files * (world_size if blocks.own_files else 1) > 1:
            found |= {"trainer.devices": world_size, "data.num_workers": self.num_workers}
        return found

    def _corpus(self) -> tuple[object, Iterable[dict]]:
        if not self.streaming:
            return super()._corpus()
        return (stamp(self.path), self.text_column, "lines"), self._stream()["train"]

    def _tokenised(self, reads_all: bool = False) -> "dict[str, Dataset]":
        splits = self.rows()
        if reads_all or self._evaluates_other:
            return self._encoded({"all": read_whole(splits)})
        if "val" not in splits:
            splits = divided(splits["train"], self.text_column, self.val_fraction, self.path)
        return self._encoded(splits)
