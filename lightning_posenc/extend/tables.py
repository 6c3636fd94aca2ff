"""The tables of a study, once for the terminal, Markdown and HTML."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from lightning_posenc.extend.results import MethodRow, StudyResults
from lightning_posenc.pretrained.evaluating.intervals import Interval

BETTER, WORSE, BEST = "better", "worse", "best"
SIGNS = {BETTER: "✔", WORSE: "✖", BEST: "★"}
LEGEND = (
    "✔ and ✖: lower and higher than the unchanged model's on the same tokens, the 95 % interval of "
    "the difference without 0."
)


class TableCell(NamedTuple):
    """A cell of a table.

    Args:
        text: What it shows.
        kind: One of `SIGNS`, or nothing.
    """

    text: str
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.text} {SIGNS[self.kind]}" if self.kind else self.text


class StudyTable(NamedTuple):
    """A table, whose first column names its rows."""

    title: str
    caption: str
    header: list[str]
    rows: list[list[TableCell]]


def summary(results: StudyResults) -> StudyTable:
    """A line for each method: what it gains, and what it costs."""
    trained, target = results.trained_length, results.target
    any_passkey = any(row.passkey for row in results.rows)
    any_order = any(row.order for row in results.rows)
    header = ["method", f"loss at {target:,}", f"last {results.last} there", f"loss at {trained:,}",
              "regression there"]  # fmt: skip
    header += ["passkey"] * any_passkey + ["order"] * any_order + ["s", "MB"]
    best = next(iter(results.by_loss()), None)
    rows = []
    for row in results.rows:
        losses = row.losses(target)
        cells = [
            TableCell(row.name),
            _loss(results, row, target, BEST if row is best else ""),
            TableCell("" if losses is None else f"{losses.last:.3f}"),
            _loss(results, row, trained),
            _regression(results.change(row, trained)),
        ]
        cells += [_share(row.passkey_at(target))] * any_passkey
        cells += [_share(row.order.get(target))] * any_order
        cells += [_number(row.seconds, ".1f"), _number(row.peak_mb, ",.0f")]
        rows.append(cells)
    caption = (
        f"Loss in nats a token, over the first {trained:,} and {target:,} tokens of the same "
        "sequences. Regression: loss over the unchanged model's at the trained length, with the "
        f"95 % interval of the paired difference. Passkey, order: share right at {target:,} "
        f"tokens. s, MB: one forward of {target:,} tokens, and the process's most memory. "
    )
    return StudyTable("What each method gains and costs", caption + LEGEND, header, rows)


def by_length(results: StudyResults, text: str | None = None) -> StudyTable:
    """Loss by length with its interval, of one text or of all together."""
    rows = [
        [
            TableCell(row.name),
            *(_loss_with_interval(results, row, n, text) for n in results.lengths),
        ]
        for row in results.rows
    ]
    title = "Loss by length" + ("" if text is None else f": {text}")
    caption = f"Nats a token over the first tokens of each sequence, with 95 % intervals. {LEGEND}"
    return StudyTable(title, caption, ["method", *_lengths(results.lengths)], rows)


def last_tokens(results: StudyResults) -> StudyTable:
    """Loss of the last tokens, by length."""
    rows = []
    for row in results.rows:
        found = {n: row.losses(n) for n in results.lengths}
        cells = [TableCell("" if each is None else f"{each.last:.3f}") for each in found.values()]
        rows.append([TableCell(row.name), *cells])
    title = f"Loss of the last {results.last} tokens of a context, by its length"
    caption = "Nats a token. What far context is worth shows here, and is thinned out in the mean."
    return StudyTable(title, caption, ["method", *_lengths(results.lengths)], rows)


def passkey(results: StudyResults) -> StudyTable | None:
    """Share of passkeys found, by length and depth."""
    found = [(row, length) for row in results.rows for length in row.passkey]
    if not found:
        return None
    depths = sorted({depth for row, length in found for depth in row.passkey[length]})
    rows = [
        [TableCell(row.name), TableCell(f"{length:,}"),
         *(_share(row.passkey[length].get(depth)) for depth in depths)]
        for row, length in found
    ]  # fmt: skip
    caption = "Share of keys repeated in full, by where they were hidden: 0 % begins the context."
    return StudyTable(
        "Passkey", caption, ["method", "tokens", *(f"{depth:.0%}" for depth in depths)], rows
    )


def order(results: StudyResults) -> StudyTable | None:
    """Share right of the order task, by length."""
    lengths = sorted({length for row in results.rows for length in row.order})
    if not lengths:
        return None
    rows = [
        [TableCell(row.name), *(_share(row.order.get(n)) for n in lengths)] for row in results.rows
    ]
    return StudyTable("Order", ORDER_CAPTION, ["method", *_lengths(lengths)], rows)


ORDER_CAPTION = "Share right of a task that no literal match solves; guessing reaches one half."


def left_out(reasons: Mapping[str, str]) -> StudyTable | None:
    """Methods of which something is not there, and why."""
    if not reasons:
        return None
    rows = [[TableCell(name), TableCell(reason)] for name, reason in reasons.items()]
    return StudyTable("Left out", "", ["method", "why"], rows)


def said(found: Interval) -> str:
    """A difference, with its interval where there is one."""
    if math.isnan(found.low):
        return _signed(found.mean)
    return f"{_signed(found.mean)} ({_signed(found.low)} to {_signed(found.high)})"


def _signed(value: float) -> str:
    """To three places, of which -0.000 is none."""
    return f"{round(value, 3) + 0.0:+.3f}"


def _regression(change: Interval | None) -> TableCell:
    return TableCell("") if change is None else TableCell(said(change), _kind(change))


def _kind(change: Interval | None) -> str:
    if change is None or not (change.is_above or change.is_below):
        return ""
    return WORSE if change.is_above else BETTER


def _loss(results: StudyResults, row: MethodRow, length: int, kind: str = "") -> TableCell:
    losses = row.losses(length)
    if losses is None:
        return TableCell("")
    return TableCell(f"{losses.mean:.3f}", kind or _kind(results.change(row, length)))


def _loss_with_interval(
    results: StudyResults, row: MethodRow, length: int, text: str | None
) -> TableCell:
    losses = row.losses(length, text)
    if losses is None:
        return TableCell("")
    mean, low, high = losses.interval()
    around = "" if math.isnan(low) else f" ({low:.2f}–{high:.2f})"
    return TableCell(f"{mean:.3f}{around}", _kind(results.change(row, length, text)))


def _share(share: float | None) -> TableCell:
    return TableCell("" if share is None else f"{share:.0%}")


def _number(value: float | None, form: str) -> TableCell:
    return TableCell("" if value is None else format(value, form))


def _lengths(lengths: Iterable[int]) -> list[str]:
    return [f"{length:,}" for length in lengths]
