"""Sorted random positions."""

import torch
from torch import Tensor

from lightning_posenc.positions.base import Positions


class Randomized(Positions):
    """A sorted random sample of [0, max_position), without replacement, in training and testing.

    A model so trained has met large positions and wide gaps before it meets a long sequence.
    Source: Ruoss et al. 2023, "Randomized Positional Encodings Boost Length Generalization of
    Transformers", arXiv:2305.16843, section 3.

    Args:
        max_position: L, the largest length that the model shall ever see.
        per_sequence: Draw anew for every sequence; otherwise one draw serves the batch, as in
            the paper's code.
        seed: Draw from a generator of its own instead of torch's global one.

    Raises:
        ValueError: On a sequence longer than `max_position`.
    """

    def __init__(
        self, max_position: int = 2048, per_sequence: bool = False, seed: int | None = None
    ) -> None:
        super().__init__()
        if max_position < 1:
            raise ValueError(f"Randomized: max_position must be positive, got {max_position}")
        self.max_position = max_position
        self.per_sequence = per_sequence
        self.generator = None if seed is None else torch.Generator().manual_seed(seed)

    def forward(
        self,
        n_sequences: int,
        length: int,
        device: torch.device,
        documents: Tensor | None = None,
        tokens: Tensor | None = None,
    ) -> Tensor:
        if length > self.max_position:
            raise ValueError(
                f"Randomized: a sequence of {length} tokens needs more than max_position="
                f"{self.max_position} positions; raise max_position and train again"
            )
        rows = n_sequences if self.per_sequence else 1
        # The largest `length` of L independent keys stand at a uniform random subset of places.
        # Drawn on the CPU, so that a seed means the same positions on every device.
        keys = torch.rand(rows, self.max_position, generator=self.generator)
        return keys.topk(length, dim=1, sorted=False).indices.sort(dim=1).values.to(device)
