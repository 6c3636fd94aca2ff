"""An encoding that can be dropped for good."""

from functools import partial
from typing import Any

from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import Factory
from lightning_posenc.positional.compose.base import Switch


class Droppable(Switch):
    """An encoding that training may drop: from then on the model has none.

    Train with an encoding, which finds structure fast; drop it, train a little more, and a causal
    model extrapolates as one that never had any. The callback `DropPositions` drops it at a given
    step. A checkpoint remembers whether it was dropped.

    Source: Gelberg et al. 2025, "Extending the Context of Pretrained LLMs by Dropping Their
    Positional Embeddings" (DroPE), arXiv:2512.12167, section 4.

    Args:
        dims: Sizes of the model.
        encoding: Makes the encoding.
    """

    def __init__(self, dims: Dims, encoding: Factory) -> None:
        super().__init__(dims, [encoding(dims)])
        self.dropped = False

    @classmethod
    def of(cls, encoding: Factory) -> Factory:
        """Bind the encoding and leave the dims open."""
        return partial(cls, encoding=encoding)

    def drop(self) -> None:
        """Drop the encoding."""
        self.dropped = True

    def serving(self, layer: int) -> tuple[int, int] | None:
        return None if self.dropped else (0, layer)

    def get_extra_state(self) -> Any:
        return {"dropped": self.dropped}

    def set_extra_state(self, state: Any) -> None:
        self.dropped = state["dropped"]
