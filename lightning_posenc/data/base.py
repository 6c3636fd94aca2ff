"""The loaders that all our data modules share."""

import inspect
import signal
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lightning_posenc.checks import several, whole
from lightning_posenc.compat.lightning import batches_trained, divides_data, seed_of_run
from lightning_posenc.data.meaning import (
    FORMAT,
    VERSION,
    described,
    differences,
    plain_options,
    state_of,
)
from lightning_posenc.data.order import EvalBatches, GlobalBatches, StreamLoader, take
from lightning_posenc.data.saying import say


class StreamData(L.LightningDataModule):
    """Loaders of one stream of global batches for training, and of fixed sets for evaluation.

    A checkpoint keeps what the numbers mean that a model was trained on (`meaning`), the options,
    and what the order of the samples depends on (`stream`). Data that takes this over by `adopt`,
    as it does wherever a checkpoint is loaded, uses the checkpoint's meaning in place of its own.

    Args:
        batch_size: samples in a training batch over all ranks, at least 1.
        eval_batch_size: likewise in evaluation; None for `batch_size`.
        seed: seed of the data; None for the run's own, that of `seed_everything`, or 0 if there is
            none.
        num_workers: worker processes a loader, 0 to 1024; the samples do not depend on it.

    Raises:
        ValueError: if a number is out of range.
    """

    learns: ClassVar[bool] = False  # whether the numbers' meaning depends on what the data holds

    def __init__(
        self, batch_size: int, eval_batch_size: int | None, seed: int | None, num_workers: int
    ) -> None:
        super().__init__()
        self.batch_size = whole(self, "batch_size", batch_size)
        if eval_batch_size is None:
            eval_batch_size = batch_size
        self.eval_batch_size = whole(self, "eval_batch_size", eval_batch_size)
        # Where Lightning's seed_everything keeps it.
        self.seed = (seed_of_run() or 0) if seed is None else seed
        whole(self, "seed", self.seed, -(2**63), 2**64 - 1)  # of which draws take 64 bits
        self.num_workers = whole(self, "num_workers", num_workers, 0, 1024)
        self._adopted: dict[str, Any] | None = None
        self._lengths: tuple[int, int] | None = None  # the checkpoint's

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: Any = None,
        weights_only: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Make data as that of a checkpoint was, which reads as it did.

        Args:
            checkpoint_path: a file that `fit` or a Trainer has written.
            map_location: nothing: no tensor is read.
            hparams_file: nothing: the options are in the checkpoint.
            weights_only: nothing: only plain values are read.
            kwargs: options to be other ones, such as `path`; those that are objects, as a task is,
                must be given.

        Raises:
            ValueError: if the checkpoint keeps no data, or of another class.
        """
        contents = torch.load(checkpoint_path, "cpu", weights_only=True, mmap=True)
        state = state_of(contents, cls)
        if state is None:
            raise ValueError(
                f"{checkpoint_path} does not say what its numbers mean (an earlier release, or "
                f"other data, made it): make {cls.__name__} by its arguments"
            )
        known = inspect.signature(cls).parameters
        options = {k: v for k, v in plain_options(state).items() if k in known}
        made = cls(**(options | kwargs))
        now = described(made.options())
        for name, value in state["options"].items():
            if name not in options | kwargs and now.get(name, value) != value:
                raise ValueError(
                    f"{cls.__name__}.load_from_checkpoint: give {name}=…, an object, which no "
                    f"checkpoint keeps: it was {value.get('class') if value else value}"
                )
        made.adopt(state)
        return made

    def options(self) -> dict[str, Any]:
        """What the user chose, by the names of the constructor's arguments."""
        return {
            "batch_size": self.batch_size,
            "eval_batch_size": self.eval_batch_size,
            "seed": self.seed,
        }

    def meaning(self) -> dict[str, Any]:
        """What the numbers of a batch mean, in plain values."""
        return {}

    def take_over(self, meaning: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        """Use another's meaning from now on.

        Args:
            meaning: what `meaning` returned there.
            options: what `options` returned there, described.

        Raises:
            ValueError: if the two cannot go together.
        """

    def order(self) -> dict[str, Any]:
        """The options that the order of the training samples depends on; going on from a
        checkpoint with another value would skip samples or repeat them.
        """
        return {"data.batch_size": self.batch_size}

    def stream(self) -> dict[str, Any]:
        """All that the order of the training samples depends on: what the data holds, too."""
        return self.order()

    def check_order(self, state: Mapping[str, Any]) -> None:
        """Compare the options with those of a run to be resumed, before anything is read.

        Raises:
            ValueError: if samples would be skipped or repeated.
        """
        self._compare(self.order(), state["stream"])

    @property
    def trained_lengths(self) -> tuple[int, int] | None:
        """Shortest and longest length that the model has been trained on, the checkpoint's if there
        is one; None if the data does not say.
        """
        return self._own_lengths() if self._lengths is None else self._lengths

    def _own_lengths(self) -> tuple[int, int] | None:
        return None

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: plain values, which `weights_only` loads."""
        return {
            FORMAT: VERSION,
            "options": described(self.options()),
            "meaning": self.meaning(),
            "lengths": described(self._own_lengths()),
            "stream": self.stream(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what a checkpoint keeps; where training goes on, say what differs.

        Raises:
            ValueError: if the data cannot go with the checkpoint, or if going on with it would
                skip or repeat samples.
        """
        if FORMAT not in state:
            return
        self.adopt(state)
        if self._fits:
            self._go_on(state)

    def adopt(self, state: dict[str, Any]) -> None:
        """Let numbers mean what they mean to a checkpoint, from now on.

        Args:
            state: what `state_dict` returned in training.

        Raises:
            ValueError: if this data cannot be read so.
        """
        if state != self._adopted:
            try:
                self.take_over(state["meaning"], state["options"])
            except (AttributeError, LookupError, TypeError) as error:
                raise ValueError(
                    f"what the checkpoint says of its data is not as fit writes it "
                    f"({type(error).__name__}: {error}): take another checkpoint"
                ) from error
            self._adopted = state
            low_and_high = state["lengths"]
            self._lengths = None if low_and_high is None else tuple(low_and_high)

    def predicted(self, row: int, classes: Any, probabilities: Any) -> dict[str, Any]:
        """What there is to say of a row's prediction, in plain values.

        Args:
            row: its number, from 0.
            classes: the class, or a list of those of its tokens.
            probabilities: a list: of all classes, or of each token's; None if they are not known.
        """
        return in_numbers(classes, probabilities)

    @property
    def _fits(self) -> bool:
        return self.trainer is not None and self.trainer.state.fn == "fit"

    def _go_on(self, state: Mapping[str, Any]) -> None:
        """Compare with the run that is resumed."""
        self._compare(self.stream(), state["stream"])
        for line in differences(described(self.options()), state["options"]):
            say(line)
        self._lengths = None  # it trains on those of its own from here on

    def _compare(self, now: Mapping[str, Any], then: Mapping[str, Any]) -> None:
        for name, value in now.items():
            if then.get(name, value) != value:
                raise ValueError(self._cannot_resume(name, value, then[name]))

    def _cannot_resume(self, name: str, now: Any, then: Any) -> str:
        return (
            f"cannot resume with {name}={now}: the checkpoint was trained with {then}; "
            f"resume with {then} or start a new run"
        )

    def _consumed(self) -> int:
        """Global batches trained so far, also right after a checkpoint was restored."""
        if self.trainer is None or self.trainer.overfit_batches:  # type: ignore[attr-defined]
            return 0  # overfitting means the same batches in each epoch
        return batches_trained(self.trainer)

    def _rank_and_world_size(self) -> tuple[int, int]:
        """Number of this rank and of all ranks among those that see different data."""
        if self.trainer is None:
            return 0, 1
        kwargs = self.trainer.distributed_sampler_kwargs or {"rank": 0, "num_replicas": 1}
        rank, world_size = kwargs["rank"], kwargs["num_replicas"]
        if world_size > 1 and divides_data(self.trainer):
            raise ValueError(
                "the data is already divided among the ranks: "
                "set trainer.use_distributed_sampler=false"
            )
        return rank, world_size

    def _options(self, dataset: Dataset) -> dict[str, Any]:
        on_cuda = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return {
            "dataset": dataset,
            "collate_fn": take,
            "num_workers": self.num_workers,
            "persistent_workers": self.num_workers > 0,
            "worker_init_fn": _leave_ctrl_c_to_the_run,
            "pin_memory": on_cuda and torch.cuda.is_available(),
        }

    def _train_loader(
        self, dataset: Dataset, n_batches: int, order: Callable[[Tensor], Tensor]
    ) -> DataLoader:
        rank, world_size = self._rank_and_world_size()
        batches = GlobalBatches(self.batch_size, n_batches, rank, world_size, self._consumed, order)
        return StreamLoader(batch_sampler=batches, **self._options(dataset))

    def _eval_loader(self, dataset: Dataset, n_items: int) -> DataLoader:
        batches = EvalBatches(n_items, self.eval_batch_size, *self._rank_and_world_size())
        return DataLoader(batch_sampler=batches, **self._options(dataset))

    def _predict_loader(self, dataset: Dataset, n_items: int) -> DataLoader:
        # Lightning rebuilds prediction loaders around a plain sampler, to keep track of indices.
        rank, world_size = self._rank_and_world_size()
        # Ranks with a sharded model must call it equally often: the last item fills the shares.
        items = range(rank, -(-n_items // world_size) * world_size, world_size)
        return DataLoader(
            sampler=[min(item, n_items - 1) for item in items],
            batch_size=max(1, self.eval_batch_size // world_size),
            **self._options(dataset),
        )


def in_numbers(classes: Any, probabilities: Any) -> dict[str, Any]:
    """What there is to say of a prediction where classes have no names."""
    shares = {} if probabilities is None else {"probabilities": probabilities}
    return {"prediction": classes, **shares}


def lengths_to_test(eval_lengths: list[int] | None, train_length: int) -> list[int]:
    """`eval_lengths`, or `train_length` alone if that is None.

    Raises:
        ValueError: if there are none, or one is not positive.
    """
    lengths = (
        [train_length] if eval_lengths is None else several("data", "eval_lengths", eval_lengths)
    )
    return [whole("data", "eval_lengths", length) for length in lengths]


def _leave_ctrl_c_to_the_run(worker: int) -> None:
    """A terminal tells every process: workers that ended would fail the run while it saves."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
