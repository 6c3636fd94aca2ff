"""Frequencies that change with the length of the sequence."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from lightning_posenc.checks import number
from lightning_posenc.compat.transformers import rotary_places
from lightning_posenc.positional.rotary.scaling import DynamicNTK
from lightning_posenc.pretrained.frequencies import turned
from lightning_posenc.pretrained.methods.base import (
    Method,
    not_rotary,
    rotary,
    too_few_pairs,
    trained_length,
)
from lightning_posenc.pretrained.methods.positions_seen import positions_given
from lightning_posenc.pretrained.methods.static_map import kept_parameters
from lightning_posenc.pretrained.reading import Pretrained


class Dynamic(Method):
    """Dynamic NTK: NTK-aware by the length of the batch's longest sequence, and none up to L.

    What was read before turns by other angles at every step beyond L, so decoding with a cache is
    another model there than reading at once. Source: `DynamicNTK`.

    Args:
        factor: How much faster than the length the base's stretch grows, at least 1; None for
            to / L, as configs of Hugging Face have it. The paper's is 1.

    Raises:
        ValueError: If the factor makes no sense.
    """

    name = "dynamic"
    source = DynamicNTK.source
    by_length = True

    def __init__(self, factor: float | None = None) -> None:
        self.factor = None if factor is None else number(self, "factor", factor, 1)

    def refuses(self, pretrained: Pretrained, to: int) -> str | None:
        if (reason := not_rotary(pretrained, to)) is not None:
            return reason
        maps = rotary(pretrained).maps
        if len(maps) > 1:
            return "its layers turn in more than one way"
        (now,) = maps.values()
        if now.kind != "default":
            return f"its frequencies are scaled already ({now.kind})"
        if now.base is None:
            return "its config names no rope_theta"
        return too_few_pairs(pretrained)

    @contextmanager
    def applied(self, pretrained: Pretrained, to: int) -> Iterator[None]:
        self.check(pretrained, to)
        (now,) = rotary(pretrained).maps.values()
        scaling = DynamicNTK(self._factor(pretrained, to), trained_length(pretrained))

        def stretch(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            longest = positions_given(args, kwargs).amax().view(1, 1)
            inv_freq, _ = scaling(now.base or 0.0, 2 * len(now.inv_freq), longest)
            for place in places:
                if place.module is module:
                    place.inv_freq.copy_(inv_freq.flatten())

        with ExitStack() as undone:
            own = now._replace(inv_freq=now.inv_freq.clone())  # is written to
            undone.enter_context(turned(pretrained.model, own))
            places = list(rotary_places(pretrained.model))
            for place in places:
                hook = place.module.register_forward_pre_hook(stretch, with_kwargs=True)
                undone.callback(hook.remove)
            yield

    def cannot_be_saved(self, pretrained: Pretrained, to: int) -> str | None:
        return None

    def spelling(self, pretrained: Pretrained, to: int) -> dict[str, Any]:
        self.check(pretrained, to, saved=True)
        (now,) = rotary(pretrained).maps.values()
        factor = self._factor(pretrained, to)
        return {
            "rope_parameters": kept_parameters(now) | {"rope_type": "dynamic", "factor": factor},
            # The type reads the trained length here: raised, it would be off.
            "max_position_embeddings": trained_length(pretrained),
        }

    def _factor(self, pretrained: Pretrained, to: int) -> float:
        return to / trained_length(pretrained) if self.factor is None else float(self.factor)
