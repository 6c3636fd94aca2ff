"""The table of quantities as a page: `python -m lightning_posenc.catalogue.quantities`."""

import math
from collections.abc import Iterable

from lightning_posenc.diagnostics.metric_keys import Key
from lightning_posenc.diagnostics.quantities import (
    ACROSS,
    BY_LENGTH,
    COSTS,
    GRADIENTS,
    GROWTH,
    HEADS,
    MEASUREMENTS,
    ORDER,
    SCORES,
    TRAINING,
    Quantity,
)

HEAD = """# What a run logs

Made by `python -m lightning_posenc.catalogue.quantities > docs/quantities.md` from
`lightning_posenc/diagnostics/quantities.py`, which callbacks, reports and the doctor read as well.

A score has a stage before it (`train/loss`, `val/acc`) and, in a test, a length behind it
(`test/acc/len_128`). A layer is `layer_03`, counted from 0; of the residual stream, the number of
blocks passed. A metric that is not here is read by the same grammar: what is better of it, its name
says (loss, error, acc, …), or torchmetrics' `higher_is_better`, or `--goal`.
"""
BETTER = {True: "higher", False: "lower", None: ""}


def markdown() -> str:
    """The page."""
    parts = [HEAD, *_table("Scores", SCORES)]
    parts += _table("Training, as `train/lr`", TRAINING)
    for each in MEASUREMENTS:
        parts += _table(f"`{each.name}`: {each.title}", each.quantities)
    parts += _table("Attention by length, of the doctor", BY_LENGTH)
    parts += _table("Heads, of the doctor", HEADS)
    parts += _table("Cross-attention, of a decoder", ACROSS)
    parts += _table("`LogitGrowth`: which heads' logits grow?", GROWTH)
    parts += _table("Gradients", GRADIENTS)
    parts += _table("Order", ORDER)
    parts += _table("Cost, in `summary.json`", COSTS)
    return "\n".join(parts) + "\n"


def _table(title: str, rows: Iterable[Quantity]) -> list[str]:
    lines = [f"## {title}", "", "| key | what | range | better | how to read it |"]
    lines.append("|---|---|---|---|---|")
    for row in rows:
        layer = 3 if "{layer}" in row.form else None
        key = Key(row.name, layer=layer, part=1 if "{part" in row.form else None)
        cells = (f"`{key}`", row.label, range_of(row), BETTER[row.higher], row.meaning)
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def range_of(row: Quantity) -> str:
    """Between which numbers it lies; "" for any."""
    low, high = row.range
    if math.isinf(low) and math.isinf(high):
        return ""
    if math.isinf(high):
        return f"≥ {low:g}"
    return f"≤ {high:g}" if math.isinf(low) else f"{low:g} to {high:g}"


if __name__ == "__main__":
    print(markdown(), end="")
