"""The map of rotary frequencies in a loaded model: read, explained, and put in place.

A map is read from the modules that turn queries and keys, and not from the config, which may say
something else: to change a config after the model was made changes nothing.

Shapes: n pairs of channels that turn.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightning_posenc.compat.transformers import RotaryPlace, rotary_places

ALL = "all"  # the layer type, where a family has only one


class FrequencyMap(NamedTuple):
    """What the pairs of channels of a model turn by.

    Args:
        inv_freq: Angle per step of every pair, float32 (n,), not below 0.
        temperature: Factor on queries and keys alike; the logits grow by its square.
        base: `rope_theta` of the config, above 1; None if it names none.
        spelling: `rope_parameters` that make this map, in the words of Hugging Face.
    """

    inv_freq: Tensor
    temperature: float = 1.0
    base: float | None = None
    spelling: Mapping[str, Any] = {}  # read only

    @property
    def kind(self) -> str:
        """The type of map, as the config names it: "default", "linear", "yarn" …"""
        return str(self.spelling.get("rope_type", "default"))

    @property
    def wavelengths(self) -> Tensor:
        """Steps of a whole turn, float64 (n,); infinite where a pair does not turn."""
        return 2 * math.pi / self.inv_freq.double()


def frequency_maps(model: nn.Module) -> dict[str, FrequencyMap]:
    """Read the maps of a loaded model, by layer type, or by module where several are alike.

    Args:
        model: Of a family whose config decides the frequencies; of others nothing is found.
    """
    found: dict[str, FrequencyMap] = {}
    for key, places in _by_key(model).items():
        place = places[0]
        said = place.parameters
        found[key] = FrequencyMap(
            inv_freq=place.inv_freq.detach().float().cpu().clone(),
            temperature=place.temperature,
            base=said.get("rope_theta"),
            spelling=said,
        )
    return found


@contextmanager
def turned(model: nn.Module, maps: FrequencyMap | Mapping[str, FrequencyMap]) -> Iterator[None]:
    """Within, a loaded model turns by the given maps at every length.

    Frequencies stay float32 whatever the model's own type of number is. The config is left alone.

    Args:
        model: Of a family whose config decides the frequencies.
        maps: One for all layers, or by layer type, as `frequency_maps` names them; layers of a
            type that is not named stay as they are.

    Raises:
        ValueError: If the model has no such layers, or another number of pairs.
    """
    places = _by_key(model)
    given = dict.fromkeys(places, maps) if isinstance(maps, FrequencyMap) else maps
    if not places or (unknown := [key for key in given if key not in places]):
        what = f"no layers of type {unknown[0]}" if places else "no map of frequencies to change"
        raise ValueError(f"{type(model).__name__} has {what}")
    for key, wanted in given.items():
        n = len(places[key][0].inv_freq)
        if tuple(wanted.inv_freq.shape) != (n,):
            shape = tuple(wanted.inv_freq.shape)
            raise ValueError(f"frequencies of shape {shape} for {n} pairs that turn")
    with ExitStack() as undone:
        for key, wanted in given.items():
            for place in places[key]:
                undone.callback(place.put(wanted.inv_freq.float(), wanted.temperature))
        yield


def unfinished(frequencies: FrequencyMap, trained_length: int) -> list[int]:
    """Find the pairs that turned in training, and never once around: 2·pi / theta_i > L.

    Beyond L they come to angles that no layer has seen. Pairs that do not turn at all are not
    among them.

    Args:
        frequencies: Of n pairs.
        trained_length: L, in tokens.
    """
    wavelengths = frequencies.wavelengths
    open_turns = (wavelengths > trained_length) & wavelengths.isfinite()
    return torch.nonzero(open_turns).flatten().tolist()


def _by_key(model: nn.Module) -> dict[str, list[RotaryPlace]]:
    """Places that hold one and the same map under its layer type, else under their path."""
    places: dict[str, list[RotaryPlace]] = {}
    for place in rotary_places(model):
        places.setdefault(place.layer_type or ALL, []).append(place)
    found: dict[str, list[RotaryPlace]] = {}
    for key, alike in places.items():
        first = alike[0].inv_freq
        if all(torch.equal(first, place.inv_freq) for place in alike):
            found[key] = alike
        else:
            for place in alike:
                found[place.path if key == ALL else f"{place.path}.{key}"] = [place]
    return found
