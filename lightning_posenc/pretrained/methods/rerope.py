"""Distances that are cut off, or stretched, beyond a window."""

import math
from typing import ClassVar

from lightning_posenc.checks import number, whole, wrong
from lightning_posenc.positional.rotary.laws import Law, Rectified
from lightning_posenc.positions.paper import Paper
from lightning_posenc.pretrained.methods.by_distance import TurnedByDistance
from lightning_posenc.pretrained.methods.distances import LOGITS


class ReRope(TurnedByDistance):
    """Rectified RoPE: no key seems farther than w, so no distance is new.

    Source: Su 2023, ReRoPE (github.com/bojone/rerope; no paper). As there, queries beyond the
    trained length L are sharpened by ln(position + 1) / ln L.

    Args:
        window: w, in tokens, less than L; None for L / 2.
        log_n: Whether queries are sharpened.
        most_logits: How many are held at once, which bounds the memory; at least 1.

    Raises:
        ValueError: If one of them makes no sense.
    """

    name = "rerope"
    source: ClassVar[Paper | None] = None
    share: ClassVar[int] = 2  # of the trained length in a window

    def __init__(
        self, window: int | None = None, log_n: bool = True, most_logits: int = LOGITS
    ) -> None:
        super().__init__(most_logits)
        self.window = None if window is None else whole(self, "window", window)
        self.log_n = log_n

    def law(self, trained_length: int, to: int) -> Law:
        window = max(1, trained_length // self.share) if self.window is None else self.window
        if window >= trained_length:
            raise wrong(self, "window", window, f"be less than the trained length {trained_length}")
        log_from = trained_length if self.log_n else None
        return Rectified(window, self.stretch(window, trained_length, to), log_from)

    def stretch(self, window: int, trained_length: int, to: int) -> float:
        """By what distances beyond the window are divided."""
        return math.inf


class LeakyReRope(ReRope):
    """ReRoPE whose distance still grows beyond the window, by 1 / stretch each token.

    Args:
        window: w, in tokens, less than L; None for L / 4.
        by: The stretch, at least 1; None for the least at which no key of `to` tokens seems
            farther than L.
        log_n: Whether queries are sharpened.
        most_logits: How many are held at once, which bounds the memory; at least 1.

    Raises:
        ValueError: If one of them makes no sense.
    """

    name = "leaky-rerope"
    share = 4

    def __init__(
        self,
        window: int | None = None,
        by: float | None = None,
        log_n: bool = True,
        most_logits: int = LOGITS,
    ) -> None:
        super().__init__(window, log_n, most_logits)
        self.by = None if by is None else number(self, "by", by, 1)

    def stretch(self, window: int, trained_length: int, to: int) -> float:
        if self.by is not None:
            return self.by
        return max(1.0, (to - window) / (trained_length - window))
