"""The table of quantities as a page: `python -m lightning_posenc.catalogue.quantities`."""

import math
from collections.abc import Iterable
from typing import NamedTuple

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
_MEASURES = "lightning_posenc.diagnostics.measures"
_DOCTOR = "`python -m lightning_posenc diagnose`"


class Group(NamedTuple):
    """Quantities that are not a measurement's own.

    Args:
        title: What they are.
        rows: The quantities.
        how: How a run is made to log them.
        home: Path that the function which defines them begins with; "" where none does.
    """

    title: str
    rows: tuple[Quantity, ...]
    how: str
    home: str = ""


OF_EVERY_RUN = (
    Group("Scores", SCORES, "Every run logs it, for each stage; a test logs it for each length."),
    Group("Training, as `train/lr`", TRAINING, "Every run logs it in training."),
)
OF_OTHERS = (
    Group("Attention by length, of the doctor", BY_LENGTH, _DOCTOR, f"{_MEASURES}.dilution."),
    Group("Heads, of the doctor", HEADS, _DOCTOR, f"{_MEASURES}.head_types."),
    Group(
        "Cross-attention, of a decoder",
        ACROSS,
        "`--trainer.callbacks+=CrossAttention`",
        f"{_MEASURES}.alignment.",
    ),
    Group("`LogitGrowth`: which heads' logits grow?", GROWTH, "`--trainer.callbacks+=LogitGrowth`"),
    Group(
        "Gradients",
        GRADIENTS,
        "`--trainer.callbacks+=PositionalGradients`",
        f"{_MEASURES}.gradients.",
    ),
    Group(
        "Order",
        ORDER,
        "`--trainer.callbacks+=OrderSensitivity`",
        f"{_MEASURES}.order_sensitivity.",
    ),
    Group("Cost, in `summary.json`", COSTS, "Every run writes it into `summary.json`."),
)
BETTER = {True: "higher", False: "lower", None: ""}


def markdown() -> str:
    """The page."""
    tables = [(group.title, group.rows) for group in OF_EVERY_RUN]
    tables += [(f"`{each.name}`: {each.title}", each.quantities) for each in MEASUREMENTS]
    tables += [(group.title, group.rows) for group in OF_OTHERS]
    parts = [HEAD, *(line for title, rows in tables for line in _table(title, rows))]
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
