"""Distances in groups of tokens, beyond a window."""

import math

from lightning_posenc.checks import whole, wrong
from lightning_posenc.positional.rotary.laws import Grouped, Law
from lightning_posenc.positions.paper import Paper
from lightning_posenc.pretrained.methods.by_distance import TurnedByDistance
from lightning_posenc.pretrained.methods.distances import LOGITS


class SelfExtendRope(TurnedByDistance):
    """Keys beyond a window are told apart only by groups of G, so that no distance is new.

    Source: Jin et al. 2024, "LLM Maybe LongLM: Self-Extend LLM Context Window Without Tuning",
    arXiv:2401.01325, section 3.2. The shift w - ⌊w/G⌋ is a whole number, as in the paper; the
    authors' code leaves w/G a fraction.

    Args:
        window: w, in tokens, less than L; None for L / 4.
        group: G; None for the least at which no key of `to` tokens seems farther than L.
        most_logits: How many are held at once, which bounds the memory; at least 1.

    Raises:
        ValueError: If one of them makes no sense.
    """

    name = "self-extend"
    source = Paper(
        "Jin et al.",
        2024,
        "LLM Maybe LongLM: Self-Extend LLM Context Window Without Tuning",
        "2401.01325",
        "section 3.2",
    )

    def __init__(
        self, window: int | None = None, group: int | None = None, most_logits: int = LOGITS
    ) -> None:
        super().__init__(most_logits)
        self.window = None if window is None else whole(self, "window", window)
        self.group = None if group is None else whole(self, "group", group)

    def law(self, trained_length: int, to: int) -> Law:
        window = max(1, trained_length // 4) if self.window is None else self.window
        if window >= trained_length:
            raise wrong(self, "window", window, f"be less than the trained length {trained_length}")
        if self.group is not None:
            return Grouped(window, self.group)
        return Grouped(window, max(1, math.ceil((to - window) / (trained_length - window))))
