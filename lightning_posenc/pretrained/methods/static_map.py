"""Methods that are another map of rotary frequencies, one for all lengths."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from lightning_posenc.positional.rotary.scaling import geometric
from lightning_posenc.pretrained.frequencies import ALL, FrequencyMap, turned
from lightning_posenc.pretrained.methods.base import Method, not_rotary, rotary, trained_length
from lightning_posenc.pretrained.reading import Pretrained

NEVER = 1e30  # λ of a pair that does not turn: even a million steps are an angle of 0

_BY_LENGTH = ("dynamic", "longrope")  # more than one map
_KEPT = ("rope_theta", "partial_rotary_factor", "mrope_section")


class StaticMap(Method, ABC):
    """Gives every layer that sees beyond the trained length another map of frequencies.

    Layers with a window that lies within the trained length stay as they are: they see no new
    distance.
    """

    unscaled_only = True  # whether its formula starts from the geometric map

    @abstractmethod
    def changed(self, now: FrequencyMap, trained_length: int, to: int) -> FrequencyMap:
        """The new map of a layer type, with the `rope_parameters` that make it."""

    def refuses(self, pretrained: Pretrained, to: int) -> str | None:
        if (reason := not_rotary(pretrained, to)) is not None:
            return reason
        for now in far_seeing(pretrained).values():
            if now.kind != "default" and (self.unscaled_only or now.kind in _BY_LENGTH):
                return (
                    f"its frequencies are scaled already ({now.kind}), and {self.name} starts "
                    "from others: take pi or drope, or the model before it was extended"
                )
            if now.base is None:
                return "its config names no rope_theta, which the frequencies start from"
        return None

    def maps(self, pretrained: Pretrained, to: int) -> dict[str, FrequencyMap]:
        """The new maps, by layer type."""
        length = trained_length(pretrained)
        return {key: self.changed(now, length, to) for key, now in far_seeing(pretrained).items()}

    def frequencies(self, pretrained: Pretrained, to: int) -> dict[str, FrequencyMap]:
        return super().frequencies(pretrained, to) | self.maps(pretrained, to)

    @contextmanager
    def applied(self, pretrained: Pretrained, to: int) -> Iterator[None]:
        self.check(pretrained, to)
        with turned(pretrained.model, self.maps(pretrained, to)):
            yield

    def cannot_be_saved(self, pretrained: Pretrained, to: int) -> str | None:
        now = rotary(pretrained).maps
        said = getattr(pretrained.config, "rope_parameters", None) or {}
        if ALL not in now and any(key not in said for key in now):
            return "rope_parameters of its config does not tell its layers apart"
        return None

    def spelling(self, pretrained: Pretrained, to: int) -> dict[str, Any]:
        self.check(pretrained, to, saved=True)
        length, config = trained_length(pretrained), pretrained.config
        changes: dict[str, Any] = {"max_position_embeddings": to}
        # Phi-3 keeps it outside the dict, where it wins.
        if getattr(config, "original_max_position_embeddings", None) is not None:
            changes["original_max_position_embeddings"] = length
        maps = self.maps(pretrained, to)
        said = {key: dict(new.spelling) for key, new in maps.items()}
        if not _is_taken(config, changes | _nested(config, said)):
            now = far_seeing(pretrained)
            said = {
                key: any_map(now[key], new.inv_freq, new.temperature, length, to)
                for key, new in maps.items()
            }
        return changes | _nested(config, said)


def _nested(config: Any, said: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The change of `rope_parameters` that says so of some layer types."""
    return {"rope_parameters": said.get(ALL) or {**config.rope_parameters, **said}}


def _is_taken(config: Any, changes: dict[str, Any]) -> bool:
    """Whether a family takes such `rope_parameters`, rather than refuse or rename their type."""
    said = changes["rope_parameters"]
    try:
        made = type(config).from_dict(copy.deepcopy(config.to_dict() | changes))
        return bool(made.rope_parameters.items() >= said.items())
    except Exception:  # of every kind: each family checks in its own way
        return False


def kept_parameters(now: FrequencyMap) -> dict[str, Any]:
    """What a model's `rope_parameters` say besides the scaling."""
    kept = {key: now.spelling[key] for key in _KEPT if now.spelling.get(key) is not None}
    if now.kind == "proportional":  # there it means how many pairs turn, not how many there are
        kept.pop("partial_rotary_factor", None)
    return kept


def any_map(
    now: FrequencyMap, inv_freq: Tensor, temperature: float, trained_length: int, to: int
) -> dict[str, Any]:
    """`rope_parameters` for any map whatever: "longrope" with one set of factors for all lengths.

    Args:
        now: Of n pairs, as the model has it.
        inv_freq: The wanted frequencies (n,), not negative.
        temperature: The wanted factor on queries and keys.
        trained_length: In tokens.
        to: In tokens.
    """
    assert now.base is not None
    unscaled = geometric(now.base, 2 * len(inv_freq), torch.device("cpu")).double()
    wanted = inv_freq.double().cpu()
    factors = torch.where(wanted > 0, unscaled / wanted, torch.inf).clamp(max=NEVER).tolist()
    return kept_parameters(now) | {
        "rope_type": "longrope",
        "short_factor": factors,
        "long_factor": factors,
        "factor": to / trained_length,
        "attention_factor": float(temperature),
        "original_max_position_embeddings": trained_length,
    }


def far_seeing(pretrained: Pretrained) -> Mapping[str, FrequencyMap]:
    """The maps of layers that would see distances beyond the trained length."""
    where = rotary(pretrained)
    window = getattr(pretrained.config, "sliding_window", None)
    if len(where.maps) == 1 or not isinstance(window, int) or window > trained_length(pretrained):
        return where.maps
    return {key: each for key, each in where.maps.items() if "sliding" not in key}
