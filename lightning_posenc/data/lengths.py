"""How long is each sample? Pure functions of its number, so that no rank, worker or restart
changes them.

Shapes: B samples.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from lightning_posenc.checks import MOST_STEPS, is_a, number, several, whole, wrong
from lightning_posenc.tasks import Draws


class Lengths(ABC):
    """Chooses the length of every sample.

    Args:
        low: Shortest length, at least 1.
        high: Longest length, at least `low`.
        bucket: How many consecutive samples share a length, at least 1. The size of a global batch
            gives every batch one length, and no padding.

    Raises:
        ValueError: If there is no length between the two, or the bucket holds nothing.
    """

    def __init__(self, low: int, high: int, bucket: int = 1) -> None:
        self.low = whole(self, "low", low)
        self.high = whole(self, "high", high, low)
        self.bucket = whole(self, "bucket", bucket, most=MOST_STEPS)

    def __call__(self, seed: int, split: str, index: Tensor) -> Tensor:
        """Lengths of samples with these numbers: (B,) to (B,), each in low..high."""
        # A stream of its own, so that the length does not shift the sample's other numbers.
        return self.choose(index, Draws(seed, f"{split}/length", index // self.bucket))

    @property
    def share_a_width(self) -> bool:
        """Whether all batches are padded to the longest length, as `padded_to` says."""
        return self.bucket == 1 and type(self).padded_to is Lengths.padded_to

    def padded_to(self, chosen: Tensor) -> int:
        """To what length the rows of a batch of lengths (B,) are padded: one for all batches, so
        that a compiled model sees one shape, or that which a bucket shares.
        """
        return self.high if self.bucket == 1 else int(chosen.amax())

    @abstractmethod
    def choose(self, index: Tensor, draws: Draws) -> Tensor:
        """Lengths (B,) of samples `index`; those of a bucket draw the same numbers."""


class UniformLengths(Lengths):
    """Each length from low to high is as likely.

    Args:
        low: Shortest length.
        high: Longest length.
        bucket: How many consecutive samples share a length.
    """

    def choose(self, index: Tensor, draws: Draws) -> Tensor:
        return draws.integers(self.low, self.high + 1)


class WeightedLengths(Lengths):
    """Each length is as likely as its weight says.

    Args:
        weights: Weight of each length, not negative, some of them positive.
        bucket: How many consecutive samples share a length.

    Raises:
        ValueError: If the weights are none.
    """

    def __init__(self, weights: dict[int, float], bucket: int = 1) -> None:
        for length, weight in is_a(self, "weights", weights, dict).items():
            whole(self, "weights", length)
            number(self, "weights", weight, 0)
        if not sum(weights.values()):
            raise wrong(self, "weights", weights, "name some length, with a weight above 0")
        given = sorted(length for length, weight in weights.items() if weight > 0)
        super().__init__(given[0], given[-1], bucket)
        self.given = torch.tensor(given)
        share = torch.tensor([weights[length] for length in given], dtype=torch.float64)
        self.edges = (share / share.sum()).cumsum(0)[:-1]

    def choose(self, index: Tensor, draws: Draws) -> Tensor:
        return self.given[torch.bucketize(draws.uniform().double(), self.edges, right=True)]


class GrowingLengths(Lengths):
    """A curriculum: uniform between low and a longest length that grows from low to high.

    It grows linearly with the number of the sample, then stays. Source: Bengio et al. 2009,
    "Curriculum Learning", ICML, with length as difficulty.

    Args:
        low: Shortest length.
        high: Longest length, reached in the end.
        samples: After how many samples, at least 1; a multiple of the batch size for whole steps.
        bucket: How many consecutive samples share a length.

    Raises:
        ValueError: If the number of samples is not positive.
    """

    def __init__(self, low: int, high: int, samples: int, bucket: int = 1) -> None:
        super().__init__(low, high, bucket)
        self.samples = whole(self, "samples", samples, most=MOST_STEPS)

    def choose(self, index: Tensor, draws: Draws) -> Tensor:
        seen = (index // self.bucket * self.bucket).clamp(max=self.samples)
        longest = self.low + (self.high - self.low) * seen // self.samples
        return draws.integers(torch.full_like(longest, self.low), longest + 1)


class StagedLengths(Lengths):
    """One length after another, each from some sample of the stream on.

    {0: 128, 16000: 512} has samples of length 128, and of 512 from sample 16,000 on: where a batch
    holds 16 samples, from step 1,000 on. With the callback `DropPositions` at the same step that is
    the whole of DroPE (Gelberg et al. 2025, arXiv:2512.12167): trained short with positions, then
    for a while at greater length without.

    Args:
        stages: Length by the number of the first sample that has it, one of them 0; a multiple of
            the batch size for whole steps.
        bucket: How many consecutive samples share a length.

    Raises:
        ValueError: If nothing is said of the first sample.
    """

    def __init__(self, stages: dict[int, int], bucket: int = 1) -> None:
        for start, length in is_a(self, "stages", stages, dict).items():
            whole(self, "stages", start, 0, MOST_STEPS)
            whole(self, "stages", length)
        if 0 not in stages:
            raise wrong(self, "stages", stages, "name the length of sample 0")
        super().__init__(min(stages.values()), max(stages.values()), bucket)
        self.stages = dict(sorted(stages.items()))

    def padded_to(self, chosen: Tensor) -> int:
        return int(chosen.amax())

    def choose(self, index: Tensor, draws: Draws) -> Tensor:
        first = index // self.bucket * self.bucket
        stage = torch.bucketize(first, torch.tensor([*self.stages][1:]), right=True)
        return torch.tensor([*self.stages.values()])[stage]


def within_blocks(growth: Lengths | None, size: int) -> Lengths | None:
    """`growth`, compared with the size of the blocks that it cuts.

    Raises:
        ValueError: if it is none, or has lengths beyond a block.
    """
    is_a("data", "growth", growth, Lengths | None)
    if growth is not None and growth.high > size:
        raise ValueError(
            f"data.growth: its longest, {growth.high}, is more than a block of "
            f"data.train_length={size} has: set data.train_length={growth.high}"
        )
    return growth


def lengths_to_test(eval_lengths: list[int] | None, train_length: int) -> list[int]:
    """`eval_lengths`, or `train_length` alone if that is None.

    Raises:
        ValueError: if there are none, or one is not positive.
    """
    lengths = (
        [train_length] if eval_lengths is None else several("data", "eval_lengths", eval_lengths)
    )
    return [whole("data", "eval_lengths", length) for length in lengths]
