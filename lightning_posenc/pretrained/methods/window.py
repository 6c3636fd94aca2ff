"""Attention that sees only the last tokens, with or without the first ones."""

from typing import Any

import torch
from torch import Tensor

from lightning_posenc.checks import whole, wrong
from lightning_posenc.positional.rotary.laws import Branch, Law
from lightning_posenc.positions.paper import Paper
from lightning_posenc.pretrained.methods.base import trained_length
from lightning_posenc.pretrained.methods.by_distance import TurnedByDistance
from lightning_posenc.pretrained.methods.distances import HIDDEN, LOGITS
from lightning_posenc.pretrained.reading import Pretrained

_FAMILIES = ("mistral", "starcoder2")  # whose `sliding_window` is of all layers


class Windowed(Law):
    """The last w keys at their distance, and the first ones as if everything between was cut out.

    Args:
        window: w, the query's own token included.
        sinks: How many first tokens are seen.
    """

    def __init__(self, window: int, sinks: int) -> None:
        self.window = window
        self.sinks = sinks

    @property
    def branches(self) -> tuple[Branch, ...]:
        last = self.window + self.sinks - 1  # where the query stands, when nothing else is kept
        return Branch(lambda i: i, lambda j: j), Branch(lambda i: i.clamp(max=last), lambda j: j)

    def chosen(self, query: Tensor, key: Tensor) -> Tensor:
        sink = torch.where(key < self.sinks, 1, HIDDEN)
        return torch.where(query - key < self.window, 0, sink.expand_as(query - key))


class SlidingWindow(TurnedByDistance):
    """Sliding window attention: nothing before the last w tokens is seen.

    Args:
        window: w, in tokens, the query's own included; at most L. None for L.
        most_logits: How many are held at once, which bounds the memory; at least 1.

    Raises:
        ValueError: If one of them makes no sense.
    """

    name = "window"

    def __init__(self, window: int | None = None, most_logits: int = LOGITS) -> None:
        super().__init__(most_logits)
        self.window = None if window is None else whole(self, "window", window)

    @property
    def n_sinks(self) -> int:
        """First tokens that are seen from everywhere."""
        return 0

    def law(self, trained_length: int, to: int) -> Law:
        return Windowed(self._size(trained_length), self.n_sinks)

    def cannot_be_saved(self, pretrained: Pretrained, to: int) -> str | None:
        kind = pretrained.model.config.model_type
        if self.n_sinks or kind in _FAMILIES:
            return super().cannot_be_saved(pretrained, to) if self.n_sinks else None
        return f"the config of {kind} has no sliding window of all layers (mistral's has)"

    def spelling(self, pretrained: Pretrained, to: int) -> dict[str, Any]:
        self.check(pretrained, to, saved=True)
        size = self._size(trained_length(pretrained))
        return {"sliding_window": size, "max_position_embeddings": to}

    def _size(self, trained_length: int) -> int:
        longest = trained_length - self.n_sinks
        window = longest if self.window is None else self.window
        if not 1 <= window <= longest:
            raise wrong(self, "window", window, f"be in [1, {longest}], of what was trained")
        return window


class WindowSinks(SlidingWindow):
    """Sliding window attention that also sees the first tokens, on which attention rests.

    Source: Xiao et al. 2023, "Efficient Streaming Language Models with Attention Sinks",
    arXiv:2309.17453, section 3.2: distances are those within the cache.

    Args:
        window: w, in tokens, the query's own included; at most L - sinks. None for that.
        sinks: First tokens that are seen from everywhere, at least 1.
        most_logits: How many are held at once, which bounds the memory; at least 1.

    Raises:
        ValueError: If one of them makes no sense.
    """

    name = "window-sinks"
    source = Paper(
        "Xiao et al.",
        2023,
        "Efficient Streaming Language Models with Attention Sinks",
        "2309.17453",
        "section 3.2",
    )

    def __init__(
        self, window: int | None = None, sinks: int = 4, most_logits: int = LOGITS
    ) -> None:
        super().__init__(window, most_logits)
        self.sinks = whole(self, "sinks", sinks)

    @property
    def n_sinks(self) -> int:
        return self.sinks
