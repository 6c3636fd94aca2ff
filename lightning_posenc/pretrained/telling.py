"""How a loaded model knows order, and whether its scaling was applied, in sentences."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lightning_posenc.pretrained.doubts import CHANGED, NOT_APPLIED, Doubt
from lightning_posenc.pretrained.frequencies import ALL, FrequencyMap, unfinished
from lightning_posenc.pretrained.implied import implied
from lightning_posenc.pretrained.where_positions import (
    Buckets,
    InRotation,
    InTable,
    Slopes,
    Unknown,
    WherePositions,
)


class Said(NamedTuple):
    """A sentence for a person, and what it is about in a few words."""

    about: str
    sentence: str


def told(positions: WherePositions) -> list[Said]:
    """Say how a model knows order, which scaling its map shows, and how far it was trained.

    Args:
        positions: What `what_positions` found.
    """
    length, why = positions.trained_length, positions.inferred_from
    known = f"{length:,} tokens ({why})" if length else f"unknown ({why})"
    trained = Said("trained length", known)
    if isinstance(positions, InRotation):
        return [*_rotary(positions), trained]
    return [Said("encoding", _other(positions)), trained]


def scaling_applied(positions: WherePositions, found: Sequence[Doubt]) -> str | None:
    """Answer "was my scaling applied?".

    Args:
        positions: What `what_positions` found.
        found: The doubts about the same model.

    Returns:
        None of a model that turns nothing, and whose files name no scaling.
    """
    against = [each.sentence for each in found if each.name in (NOT_APPLIED, CHANGED)]
    if against:
        return f"no: {'; '.join(against)}"
    if not isinstance(positions, InRotation):
        return None
    scaled = {key: each for key, each in positions.maps.items() if each.kind != "default"}
    if not scaled:
        return "its config names no scaling, and the map has none"
    return "; ".join(f"{_of_type(key)}{_applied(each)}" for key, each in scaled.items())


def _applied(each: FrequencyMap) -> str:
    shown = implied(each)
    if each.kind == "dynamic" and shown.scaling == "none":
        return "dynamic changes the map beyond max_position_embeddings alone: not at this length"
    if shown.scaling == "none" and each.temperature == 1:
        return f"{each.kind} is named, and leaves the map as it is"
    return f"yes: {each.kind}{_factor(each)}"


def _rotary(positions: InRotation) -> Iterator[Said]:
    for key, each in positions.maps.items():
        where = _of_type(key).removesuffix(": ")
        among = f" ({where})" if where else ""
        yield Said(f"encoding{among}", f"rotary, {_map(each)}")
        grows = "; as of the last pass, it grows with the length" if each.kind == "dynamic" else ""
        yield Said(f"the map shows{among}", f"{implied(each).sentence}{grows}")
        length = positions.lengths.get(key) or positions.trained_length
        if length is not None:
            slow, n = unfinished(each, length), len(each.inv_freq)
            yield Said(
                f"pairs that never finish a turn{among}",
                f"{len(slow)} of {n} in {length:,} tokens: {_runs(slow)}"
                if slow
                else f"none of {n} that turn, in {length:,} tokens",
            )
    if positions.without:
        yield Said("layers without position", _runs(positions.without))


def _of_type(key: str) -> str:
    return "" if key == ALL else f"{key}: "


def _factor(each: FrequencyMap) -> str:
    factor = each.spelling.get("factor")
    return f" by {factor:g}" if isinstance(factor, int | float) else ""


def _map(each: FrequencyMap) -> str:
    base = "" if each.base is None else f", base {_number(each.base)}"
    finite = each.wavelengths[each.wavelengths.isfinite()]
    turns = (
        f", a turn takes {_number(float(finite.min()))} to {_number(float(finite.max()))} tokens"
        if len(finite)
        else ""
    )
    temperature = "" if each.temperature == 1 else f", q and k times {each.temperature:.4g}"
    return f"{each.kind}{_factor(each)}{base}, {len(each.inv_freq)} pairs{turns}{temperature}"


def _number(x: float) -> str:
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def _other(positions: WherePositions) -> str:
    if isinstance(positions, InTable):
        rows = f"{positions.rows:,} rows, the first position reads row {positions.offset}"
        return f"learned table {', '.join(positions.names)}: {rows}"
    if isinstance(positions, Slopes):
        low, high = float(positions.slopes.min()), float(positions.slopes.max())
        return f"ALiBi: {len(positions.slopes)} heads, slopes {low:.3g} to {high:.3g}"
    if isinstance(positions, Buckets):
        kinds = (
            f"{name} ({'both sides' if both else 'the past'}, last bucket from {farthest})"
            for name, (farthest, both) in positions.tables.items()
        )
        return f"T5's buckets of distances: {'; '.join(kinds)}"
    assert isinstance(positions, Unknown)
    return f"not changed from outside: {positions.reason}"


def _runs(numbers: Sequence[int]) -> str:
    """1, 2, 3, 7 as "1-3, 7"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"{a}-{b}" if b > a else f"{a}" for a, b in runs)
