"""How a loaded model knows order, in sentences for a person."""

from collections.abc import Iterator, Sequence

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


def told(positions: WherePositions) -> list[str]:
    """Say how a model knows order, which scaling its map shows, and how far it was trained.

    Args:
        positions: What `what_positions` found.
    """
    length = "unknown" if positions.trained_length is None else f"{positions.trained_length:,}"
    trained = f"trained length: {length} ({positions.inferred_from})"
    if isinstance(positions, InRotation):
        return [*_rotary(positions), trained]
    return [_other(positions), trained]


def _rotary(positions: InRotation) -> Iterator[str]:
    for key, each in positions.maps.items():
        where = "" if key == ALL else f", {key}"
        yield f"rotary{where}: {_map(each)}"
        yield f"the map shows: {implied(each).sentence}"
        length = positions.lengths.get(key) or positions.trained_length
        if length is not None:
            slow, n = unfinished(each, length), len(each.inv_freq)
            yield (
                f"{len(slow)} of {n} pairs never finish a turn in {length:,} tokens: {_runs(slow)}"
                if slow
                else f"all {n} pairs finish a turn in {length:,} tokens, or do not turn"
            )
    if positions.without:
        yield f"layers without position: {_runs(positions.without)}"


def _map(each: FrequencyMap) -> str:
    factor = each.spelling.get("factor")
    by = f" by {factor:g}" if isinstance(factor, int | float) else ""
    base = "" if each.base is None else f", base {each.base:,g}"
    finite = each.wavelengths[each.wavelengths.isfinite()]
    turns = (
        f", a turn takes {float(finite.min()):.3g} to {float(finite.max()):.3g} tokens"
        if len(finite)
        else ""
    )
    temperature = "" if each.temperature == 1 else f", q and k times {each.temperature:.4g}"
    return f"{each.kind}{by}{base}, {len(each.inv_freq)} pairs{turns}{temperature}"


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
