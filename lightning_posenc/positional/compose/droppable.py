"""An encoding that can be dropped for good."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lightning_posenc.checks import made
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import Factory, PositionalEncoding
from lightning_posenc.positional.compose.base import Switch
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import Places


class Droppable(Switch):
    """An encoding that training may drop: from then on the model has none.

    Train with an encoding, which finds structure fast; drop it, train a little more, and a causal
    model extrapolates as one that never had any. The callback `DropPositions` drops it at a given
    step. A checkpoint remembers whether it was dropped. Once dropped it refuses nothing, computes
    nothing and asks for no penalty; its parameters stay as they were.

    Source: Gelberg et al. 2025, "Extending the Context of Pretrained LLMs by Dropping Their
    Positional Embeddings" (DroPE), arXiv:2512.12167, section 4.

    Args:
        dims: Sizes of the model.
        encoding: Makes the encoding.
    """

    source = Paper(
        "Gelberg et al.",
        2025,
        "Extending the Context of Pretrained LLMs by Dropping Their Positional Embeddings",
        "2512.12167",
        "section 4",
    )
    equation = (
        r"\text{encoding}(t) = \begin{cases} \text{the given one} & \text{step } t <"
        r" t_{\text{drop}} \\"
        r" \text{none} & \text{from there on} \end{cases}"
    )

    flag: Tensor

    def __init__(self, dims: Dims, encoding: Factory) -> None:
        super().__init__(dims, [made(self, "encoding", encoding, PositionalEncoding, dims)])
        self.dropped = False
        # What a checkpoint remembers, sharded or not; never read in a forward pass, where that
        # would make a GPU wait.
        self.register_buffer("flag", torch.tensor(False))
        self.register_load_state_dict_pre_hook(_take_flag)

    @classmethod
    def of(cls, encoding: Factory) -> Factory:
        """Bind the encoding and leave the dims open."""
        return partial(cls, encoding=encoding)

    def drop(self) -> None:
        """Drop the encoding."""
        self.dropped = True
        self.flag.fill_(True)

    def serving(self, layer: int) -> tuple[int, int] | None:
        return None if self.dropped else (0, layer)

    def check(self, places: Places) -> None:
        if not self.dropped:
            super().check(places)

    def depends_on_length(self, places: Places) -> str | None:
        return None if self.dropped else super().depends_on_length(places)

    def prepare(self, q_places: Places, k_places: Places) -> list[Any]:
        return [] if self.dropped else super().prepare(q_places, k_places)

    def penalty(self) -> Tensor | None:
        return None if self.dropped else super().penalty()


def _take_flag(module: Droppable, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Remember whether the encoding of the checkpoint was dropped."""
    # Where checkpoints kept it before there was a flag.
    if (old := state.pop(f"{prefix}_extra_state", None)) is not None:
        state[f"{prefix}flag"] = torch.tensor(bool(old["dropped"]))
    if (flag := state.get(f"{prefix}flag")) is not None and not flag.is_meta:
        module.dropped = bool(flag)


def idle_parameters(model: nn.Module) -> Iterator[nn.Parameter]:
    """The trained parameters of dropped encodings, which no forward pass reads any more."""
    for part in model.modules():
        if isinstance(part, Droppable) and part.dropped:
            yield from (p for p in part.parameters() if p.requires_grad)
