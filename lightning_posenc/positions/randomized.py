"""Sorted random positions."""

import torch
from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.draws import sent
from lightning_posenc.positions.base import Positions
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.sequences import Sequences


class Randomized(Positions):
    """A sorted random sample of [0, max_position), without replacement, in training and testing.

    A model so trained has met large positions and wide gaps before it meets a long sequence. An
    encoding of distance sees the differences of these positions; the published code draws
    distances for it instead, as `RandomDistances` does.

    Source: Ruoss et al. 2023, "Randomized Positional Encodings Boost Length Generalization of
    Transformers", arXiv:2305.16843, section 3.

    Args:
        max_position: L, the largest length that the model shall ever see, at least 1.
        per_sequence: Draw anew for every sequence; otherwise one draw serves the batch, as in
            the paper's code.
        seed: From 0 to 2^63 - 1: draw from a generator of its own instead of torch's global one.

    Raises:
        ValueError: On a sequence longer than `max_position`.
    """

    source = Paper(
        "Ruoss et al.",
        2023,
        "Randomized Positional Encodings Boost Length Generalization of Transformers",
        "2305.16843",
        "section 3",
    )
    equation = (
        r"p_0 < p_1 < \dots < p_{T-1} \text{ drawn from } \{0, \dots, L - 1\} \text{ without"
        r" replacement}"
    )

    def __init__(
        self, max_position: int = 2048, per_sequence: bool = False, seed: int | None = None
    ) -> None:
        super().__init__()
        self.max_position = whole(self, "max_position", max_position)
        if seed is not None:
            whole(self, "seed", seed, 0, 2**63 - 1)
        self.per_sequence = per_sequence
        self.seed = seed
        self.generator = None if seed is None else torch.Generator().manual_seed(seed)

    def bounds(self, length: int) -> tuple[float, float]:
        return 0, self.max_position - 1

    def forward(self, sequences: Sequences) -> Tensor:
        if sequences.length > self.max_position:
            raise ValueError(
                f"Randomized: a sequence of {sequences.length} tokens needs more than max_position="
                f"{self.max_position} positions; raise max_position and train again"
            )
        rows = sequences.number if self.per_sequence else 1
        drawn = random_subset(self.max_position, sequences.length, rows, self.generator)
        return sent(drawn, sequences.device)


def random_subset(
    n: int, size: int, rows: int = 1, generator: torch.Generator | None = None
) -> Tensor:
    """Draw uniform random subsets of 0..n-1.

    On the CPU, so that a seed means the same on every device.

    Args:
        n: Number of elements to choose from.
        size: Elements of a subset.
        rows: Number of subsets.
        generator: What to draw from; None for torch's global one.

    Returns:
        (rows, size), each row sorted and without repetition.
    """
    # The largest `size` of n independent keys stand at a uniform random subset of places.
    keys = torch.rand(rows, n, generator=generator, dtype=torch.float32, device="cpu")
    return keys.topk(size, dim=1, sorted=False).indices.sort(dim=1).values
