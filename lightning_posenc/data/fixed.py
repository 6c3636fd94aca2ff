"""Fixed datasets: training in shuffled passes over all items, evaluation on each item once."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lightning_posenc.checks import MOST_STEPS, is_a, number, whole
from lightning_posenc.data.batch import Batch
from lightning_posenc.data.lengths import lengths_to_test
from lightning_posenc.data.loaders import GlobalBatchData
from lightning_posenc.data.meaning import listed, same_place
from lightning_posenc.data.order import ShuffledPasses
from lightning_posenc.data.saying import percent, say
from lightning_posenc.tasks import Draws


class Cut(NamedTuple):
    """What is lost of items that are cut to a length.

    Args:
        items: how many there are.
        cut: how many of them are longer.
        tokens: how many tokens they have.
        lost: how many of those are not read.
        unscored: a phrase on targets that are lost with them, or nothing.
        what: what the items are.
    """

    items: int
    cut: int
    tokens: int
    lost: int
    unscored: str = ""
    what: str = "texts"

    def __str__(self) -> str:
        tokens = f"{percent(self.lost, self.tokens)} of their tokens are not read"
        return (
            f"{percent(self.cut, self.items)} of the {self.what} are cut, {tokens}{self.unscored}"
        )


class FixedDataset(Dataset[Batch], ABC):
    """A known number of items, fetched a batch at a time."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitems__(self, indices: list[int]) -> Batch:
        """These items, as one batch."""

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    @abstractmethod
    def content(self) -> str:
        """A short name of what the items hold, their order included."""

    def cut(self) -> Cut | None:
        """What is lost of the items; None if nothing can be."""
        return None

    def classes(self) -> Tensor | None:
        """(n,) the class of each scored target; None where targets are no classes with names."""
        return None


class FixedData(GlobalBatchData, ABC):
    """Batches of fixed datasets, whose items are cut to whatever length is asked for.

    Args:
        path: where the items come from.
        train_length: T, tokens that an item is cut to in training and validation, at least 1.
        eval_lengths: lengths to cut the items of the test to; None for `train_length`.
        val_fraction: share of the items for validation where they have no file of their own,
            between 0 and 1.
        steps_per_epoch: training batches in an epoch; None for as many as one pass fills.
        options: those of `GlobalBatchData`.

    Raises:
        ValueError: if a number is out of range.
    """

    learns = True

    def __init__(
        self,
        path: str,
        train_length: int = 128,
        eval_lengths: list[int] | None = None,
        val_fraction: float = 0.1,
        steps_per_epoch: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.path = is_a(self, "path", path, str)
        self._trained_path = path
        self.train_length = whole(self, "train_length", train_length)
        self.val_length = self.train_length  # of all but text in blocks
        tested = lengths_to_test(eval_lengths, train_length)
        self.eval_lengths = tested
        self.val_fraction = number(self, "val_fraction", val_fraction, above=0, below=1)
        if steps_per_epoch is not None:
            whole(self, "steps_per_epoch", steps_per_epoch, most=MOST_STEPS)
        self.steps_per_epoch = steps_per_epoch

    def __str__(self) -> str:
        # Lightning's would open all loaders, before there is a trainer, to tell their sizes.
        return f"{type(self).__name__}({self.path})"

    def options(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "train_length": self.train_length,
            "eval_lengths": self.eval_lengths,
            "val_fraction": self.val_fraction,
            "steps_per_epoch": self.steps_per_epoch,
            **super().options(),
        }

    def take_over(self, meaning: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        super().take_over(meaning, options)
        self._trained_path = options["path"]

    def stream(self) -> dict[str, Any]:
        items = self._dataset("train", self.train_length)
        return {
            **super().stream(),
            "items": len(items),
            "content": items.content(),
        }

    def order(self) -> dict[str, Any]:
        return {**super().order(), "data.seed": self.seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        if self.trainer is not None and not self._fits:  # Lightning calls this after `setup`
            self._say_what_is_read(self.trainer.state.fn)

    def _cut_to(self) -> dict[str, Any]:
        """The options that say what of the source an item is."""
        return {"train_length": self.train_length}

    def _own_lengths(self) -> tuple[int, int]:
        return self.train_length, self.train_length

    def _go_on(self, state: Mapping[str, Any]) -> None:
        super()._go_on(state)
        self._trained_path = self.path  # the same items, wherever they lie now

    def _cannot_resume(self, name: str, now: Any, then: Any) -> str:
        if name not in ("items", "content"):
            return super()._cannot_resume(name, now, then)
        what = f"{now} items, not {then}" if name == "items" else "others, or in another order"
        return (
            f"cannot resume on data.path={self.path}: its training items are not those of the "
            f"checkpoint ({what}), so that some would be skipped and some repeated: give the data "
            "and the lengths that it was trained with, or start a new run"
        )

    @property
    def _evaluates_other(self) -> bool:
        """Whether this is other data than the checkpoint's, of which nothing was trained on."""
        return not (self._fits or same_place(self.path, self._trained_path))

    @abstractmethod
    def _extent(self, split: str) -> str:
        """How much of what a split holds, for a person to read."""

    def _say_what_is_read(self, stage: str | None) -> None:
        """Say which items a command reads, and what it loses of them."""
        stage = str(getattr(stage, "value", stage))  # Lightning's is an enumeration
        splits = {"fit": "train", "validate": "val", "test": "test", "predict": "predict"}
        if stage not in splits:
            return
        split = splits[stage]
        if stage in ("validate", "test") and not self._evaluates_other:
            self._check_held_out()
        if stage != "fit" and self._adopted is not None:
            say(f"{stage}: {self._extent(split)}")
        lengths = {"test": self.eval_lengths, "predict": self.eval_lengths[:1]}
        for length in dict.fromkeys(lengths.get(split, [self.train_length])):
            cut = self._cut(split, length)
            if cut is not None and cut.cut:
                say(f"{stage}: at {length} tokens {cut}")
        if stage == "fit":
            self._say_unseen_classes()

    def training_classes(self) -> Tensor | None:
        """(n,) the class of each target that is trained on; None where there are no such."""
        return self._dataset("train", self.train_length).classes()

    def _say_unseen_classes(self) -> None:
        """Say which classes of validation training has never seen."""
        names = getattr(self, "class_names", None)
        if names is None:
            return
        known = self.training_classes()
        asked = self._dataset("val", self.val_length).classes()
        if known is None or asked is None:
            return
        unseen = set(asked.unique().tolist()) - set(known.unique().tolist())
        if unseen:
            say(
                f"beware: validation has classes that no training item has: "
                f"{listed([names[n] for n in sorted(unseen)])}: they cannot be learned"
            )

    def _check_held_out(self) -> None:
        """Refuse to evaluate on what the checkpoint was trained on.

        Raises:
            ValueError: if another share than training's would be held out.
        """
        if self._adopted is None:
            return
        then = self._adopted["options"]
        if (held_out := then.get("val_fraction", self.val_fraction)) != self.val_fraction:
            raise ValueError(
                f"data.val_fraction={self.val_fraction}: training held out {held_out}, so that "
                "some of what is left would have been trained on: leave val_fraction out"
            )
        if any(then.get(name) != value for name, value in self._cut_to().items()):
            return  # other items, of which nothing can be compared
        known, now = self._adopted["stream"], self.stream()
        if any(known[name] != now[name] for name in ("items", "content") if name in known):
            say(
                f"beware: data.path={self.path} has changed since training: what is evaluated may "
                "have been trained on"
            )

    def _cut(self, split: str, length: int) -> Cut | None:
        """What of a split's items a length in tokens leaves out; None if nothing is cut."""
        return self._dataset(split, length).cut()

    @abstractmethod
    def _dataset(self, split: str, length: int) -> FixedDataset:
        """The items of `train`, `val`, `test` or `predict`, cut to a length in tokens."""

    def _rows_of(self, split: str, sizes: Mapping[str, int]) -> tuple[str, Tensor]:
        """Which of the source's splits is read, and which of its rows, before any are left out.

        Args:
            split: `train`, `val`, `test` or `predict`.
            sizes: rows of each split of the source.
        """
        order = {
            "train": ("train",),
            "val": ("val", "train", "test"),
            "test": ("test", "val", "train"),
            "predict": ("test", "val", "train"),
        }[split]
        name = next(name for name in order if name in sizes)
        n = sizes[name]
        whole_split = split == "predict" or name != "train" or "val" in sizes
        if whole_split or self._evaluates_other:
            return name, torch.arange(n)
        rest, held = self._held_out(n)
        return name, rest if split == "train" else held

    def _held_out(self, n: int) -> tuple[Tensor, Tensor]:
        """Which of n >= 2 items to train and to validate on, drawn once and for any seed."""
        n_val = max(1, int(self.val_fraction * n))
        order = Draws(0, "split", torch.tensor([0])).permutation(n)[0]
        return order[n_val:].sort()[0], order[:n_val].sort()[0]

    def train_dataloader(self) -> Iterable[Batch]:
        """The share of this rank in the stream of shuffled items."""
        items = self._dataset("train", self.train_length)
        n_batches = self.steps_per_epoch or max(1, len(items) // self.batch_size)
        return self._train_loader(items, n_batches, self._train_order(items))

    def _train_order(self, items: FixedDataset) -> Callable[[Tensor], Tensor]:
        """Maps elements of the training stream to items, (N,) to (N,)."""
        return ShuffledPasses(len(items), self.seed)

    def val_dataloader(self) -> DataLoader:
        """All validation items, cut to the length of validation."""
        items = self._dataset("val", self.val_length)
        return self._eval_loader(items, len(items))

    def test_dataloader(self) -> list[DataLoader]:
        """All test items, one loader for each of `eval_lengths`."""
        tests = [self._dataset("test", length) for length in self.eval_lengths]
        return [self._eval_loader(items, len(items)) for items in tests]

    def predict_dataloader(self) -> DataLoader:
        """All items of the source, in its order, cut to the first of `eval_lengths`."""
        items = self._dataset("predict", self.eval_lengths[0])
        return self._predict_loader(items, len(items))
