"""Whether a model turns as its files say: "was my scaling applied?", answered for a folder alone.

What is compared: the map in the loaded model, the config that the model holds, and the words in
`config.json` or in the header of a GGUF file. They may all differ, and nothing fails.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from lightning_posenc.compat.transformers import RotaryPlace, rotary_places
from lightning_posenc.mistakes.one_line import reason
from lightning_posenc.pretrained.folder import Contents
from lightning_posenc.pretrained.frequencies import ALL, FrequencyMap
from lightning_posenc.pretrained.implied import implied
from lightning_posenc.pretrained.where_positions import (
    InRotation,
    Unknown,
    text_config,
    trained_length,
    what_positions,
)

EXACT = 1e-5  # relative: two computations of one map in float32
OFF = 0.1  # radians at the trained length, from which on a rounded angle matters
_HALVES = (torch.bfloat16, torch.float16)
_LENGTH = "original_max_position_embeddings"
_PLAIN = ("default", "none", None)

Grade = Literal["ill", "watch", "note"]


class Doubt(NamedTuple):
    """Something about positions that is not as a file seems to say.

    Args:
        grade: "ill" where the model turns otherwise, "watch" where it may, "note" what to know.
        name: In a few words.
        sentence: What was seen.
    """

    grade: Grade
    name: str
    sentence: str


NOT_APPLIED = "scaling configured, and not applied"
HALF = "frequencies in half precision"
CHANGED = "config and map differ"


def doubts(model: nn.Module, contents: Contents | None = None) -> list[Doubt]:
    """Compare the map in a model with what its config and its files say.

    Args:
        model: As loaded.
        contents: What its folder holds; None of a model that was made in memory.

    Returns:
        The worst first.
    """
    positions = what_positions(model)
    written: Mapping[str, Any] = {} if contents is None else contents.written
    found = [*_not_applied(positions, written, contents)]
    if isinstance(positions, InRotation):
        config = text_config(model)
        for place in rotary_places(model):
            found += _as_configured(place, config)
        for key, each in positions.maps.items():
            found += _of_options(config, key, each, written)
    unique = dict.fromkeys(found)
    return sorted(unique, key=lambda doubt: ("ill", "watch", "note").index(doubt.grade))


def _not_applied(
    positions: object, written: Mapping[str, Any], contents: Contents | None
) -> Iterator[Doubt]:
    """A scaling that a file names, and that the map does not have."""
    if isinstance(positions, InRotation):
        maps = positions.maps.values()
        if not all(implied(each).scaling == "none" and each.temperature == 1 for each in maps):
            return
        if any(each.kind in ("dynamic", "longrope", "proportional") for each in maps):
            return  # which may be unscaled at this length, or by design
        seen = "and every map is RoPE's own, unscaled"
    elif isinstance(positions, Unknown):
        seen = "and the family reads none"
    else:
        return
    if contents is not None and contents.gguf_file is not None:
        yield from _not_applied_of_gguf(contents, seen)
        return
    for kind, factor in _scalings(written):
        by = f" by {factor:g}" if isinstance(factor, int | float) else ""
        if factor is None or factor != 1:
            yield Doubt("ill", NOT_APPLIED, f"config.json names {kind}{by}, {seen}")


def _not_applied_of_gguf(contents: Contents, seen: str) -> Iterator[Doubt]:
    values = contents.written
    for key, kind in values.items():
        if key.endswith(".rope.scaling.type") and kind not in _PLAIN:
            factor = values.get(key.removesuffix("type") + "factor")
            by = f" by {factor:g}" if isinstance(factor, int | float) else ""
            yield Doubt("ill", NOT_APPLIED, f"the GGUF file names {kind}{by}, {seen}")
    if any(name.startswith("rope_freqs") for name in contents.shapes):
        said = f"the GGUF file holds factors of frequencies (rope_freqs, as of Llama 3), {seen}"
        yield Doubt("ill", NOT_APPLIED, said)


def _scalings(content: Any) -> Iterator[tuple[str, Any]]:
    """Type and factor of all that looks like a scaling, wherever it stands."""
    if not isinstance(content, dict):
        return
    kind = content.get("rope_type", content.get("type"))
    if isinstance(kind, str) and kind not in _PLAIN and ("factor" in content or _LENGTH in content):
        yield kind, content.get("factor")
    for value in content.values():
        yield from _scalings(value)


def _as_configured(place: RotaryPlace, config: Any) -> Iterator[Doubt]:
    """The map against one made anew from the config that the model holds now."""
    said = place.parameters
    kind = said.get("rope_type", "default")
    try:
        expected, temperature = place.recomputed()
    except Exception as error:  # of every kind, from a config that was changed
        seen = f"no map can be made of the config any more ({reason(error)})"
        yield Doubt("watch", CHANGED, seen)
        return
    dynamic = kind in ("dynamic", "longrope") and place.rope_type == kind
    held = place.original if dynamic else place.inv_freq
    if held.shape == expected.shape and place.temperature == temperature:
        if _near(held.float().cpu(), expected, EXACT):
            return
        if (name := _rounded(held, expected)) is not None:
            length, _ = trained_length(config, said)
            off = (held.float().cpu() - expected).abs().max().item() * (length or 1)
            grade: Grade = "ill" if off > OFF else "watch"
            at = (
                f"{off:.2g} radians at {length:,} tokens"
                if length
                else f"{off:.2g} radians a token"
            )
            yield Doubt(grade, HALF, f"inv_freq is rounded to {name}: angles are off by {at}")
            return
    turns = implied(FrequencyMap(held.float().cpu(), place.temperature, said.get("rope_theta")))
    yield Doubt(
        "ill", CHANGED,
        f"the config says {kind}{_factor(said)}, and the model turns otherwise: {turns.sentence} "
        "(a config that is changed after loading changes nothing)",
    )  # fmt: skip


def _of_options(
    config: Any, key: str, found: FrequencyMap, written: Mapping[str, Any]
) -> Iterator[Doubt]:
    """Options of a scaling that do not do what they seem to."""
    said, kind = found.spelling, found.kind
    where = "" if key == ALL else f" ({key})"
    longest = getattr(config, "max_position_embeddings", None)
    outside = getattr(config, _LENGTH, None)
    inside = _written_length(written, key)
    original = outside or said.get(_LENGTH)
    if kind in ("yarn", "llama3", "longrope") and written and not (inside or _LENGTH in written):
        yield Doubt(
            "watch", "no trained length named",
            f"{kind}{where} without {_LENGTH} takes max_position_embeddings={longest}, which is "
            "wrong if that was raised",
        )  # fmt: skip
    if outside and inside and outside != inside:
        yield Doubt(
            "watch", "two trained lengths",
            f"{_LENGTH}={outside} beside rope_parameters wins over {inside} in it{where}",
        )  # fmt: skip
    factor = said.get("factor")
    if kind in ("yarn", "longrope") and factor and longest and original:
        ratio = longest / original
        if abs(ratio / factor - 1) > 0.01:
            yield Doubt(
                "watch", "factor against lengths",
                f"factor={factor:g}{where}, and max_position_embeddings/{_LENGTH} = {ratio:g}",
            )  # fmt: skip
    if kind == "yarn" and key != ALL and said.get("truncate") is False:
        yield Doubt(
            "watch", "truncate is ignored",
            f"truncate=false under a layer type{where}: the library reads it one level higher only",
        )  # fmt: skip
    if kind == "dynamic":
        yield Doubt(
            "note", "dynamic starts late",
            f"dynamic{where} does nothing up to max_position_embeddings={longest}: if that was "
            "raised, the scaling is off",
        )  # fmt: skip
    if kind == "longrope" and said.get("short_factor") != said.get("long_factor"):
        yield Doubt(
            "note", "two maps",
            f"longrope{where} turns a whole batch by the long map once its longest sequence has "
            f"more than {original} tokens",
        )  # fmt: skip


def _written_length(written: Mapping[str, Any], key: str) -> Any:
    for name in ("rope_scaling", "rope_parameters"):
        said = written.get(name)
        if isinstance(said, dict) and key != ALL:
            said = said.get(key)
        if isinstance(said, dict) and _LENGTH in said:
            return said[_LENGTH]
    return None


def _rounded(held: Tensor, expected: Tensor) -> str | None:
    """The type of half precision that a map was rounded to, if it was."""
    for dtype in _HALVES:
        if torch.equal(held.float().cpu(), expected.to(dtype).float()):
            return str(dtype).removeprefix("torch.")
    return None


def _near(x: Tensor, y: Tensor, tolerance: float) -> bool:
    return torch.allclose(x, y, rtol=tolerance, atol=0)


def _factor(said: Mapping[str, Any]) -> str:
    factor = said.get("factor")
    return f" by {factor:g}" if isinstance(factor, int | float) else ""
