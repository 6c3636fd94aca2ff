"""Pictures of a study, within a page."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lightning_posenc.extend.results import UNCHANGED, MethodRow, StudyResults
from lightning_posenc.runs.figures import new_figure
from lightning_posenc.runs.png import data_uri, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (5.2, 3.6)  # inches: readable on a phone's width
DPI = 140
MARKERS = "os^DvPX*<>"
COLOURS = 10  # of matplotlib's cycle, after which lines are dashed
NATS = "nats a token"
HEADROOM = 4.0  # nats above the best: what is worse leaves the picture, so that the rest is seen


def pictures(results: StudyResults) -> dict[str, str]:
    """Data URIs of PNGs, by title; what was not measured is left out."""
    return {title: data_uri(png(figure, DPI)) for title, figure in drawn(results)}


def drawn(results: StudyResults) -> "Iterator[tuple[str, Figure]]":
    """The pictures with their titles; what was not measured is left out."""
    yield "Loss by length", _by_length(results)
    for text in results.texts:
        yield f"Loss by position: {text}", _by_position(results, text)
    if any(results.change(row, results.trained_length) for row in results.rows):
        yield f"Regression at {results.trained_length:,} tokens", _regression(results)
    if any(row.passkey for row in results.rows):
        yield "Passkeys found", _passkey(results)


def _axes(**kwargs: Any) -> "tuple[Figure, Axes]":
    figure = new_figure(figsize=SIZE)
    axes = figure.subplots(**kwargs)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _style(i: int, row: MethodRow) -> dict[str, Any]:
    if row.name == UNCHANGED:
        return {"color": "0.35", "linestyle": ":", "linewidth": 2}
    return {"color": f"C{i % COLOURS}", "linestyle": "-" if i < COLOURS else "--"}


def _legend(figure: "Figure", axes: "Axes") -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=7, frameon=False)


def _window(axes: "Axes", losses: list[float]) -> None:
    """Let the curves that broke leave the picture upwards."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    if finite and max(finite) > (top := min(finite) + HEADROOM):
        axes.set_ylim(min(finite) - 0.2, top)


def _trained(axes: "Axes", length: int) -> None:
    axes.axvline(length, color="0.7", linewidth=1)
    axes.text(
        length, 1.0, " trained", transform=axes.get_xaxis_transform(), color="0.5", fontsize=7,
        va="top",
    )  # fmt: skip


def _by_length(results: StudyResults) -> "Figure":
    figure, axes = _axes()
    everything = []
    for i, row in enumerate(results.rows):
        found = [(n, losses) for n in results.lengths if (losses := row.losses(n)) is not None]
        means = [losses.mean for _, losses in found]
        around = [losses.interval() for _, losses in found]
        errors = [
            [each.mean - each.low for each in around],
            [each.high - each.mean for each in around],
        ]
        axes.errorbar(
            [n for n, _ in found], means, errors, marker=MARKERS[i % len(MARKERS)], markersize=4,
            label=row.name, elinewidth=0.7, **_style(i, row),
        )  # fmt: skip
        everything += means
    _window(axes, everything)
    axes.set_xscale("log", base=2)
    axes.set_xticks(results.lengths, [f"{n:,}" for n in results.lengths], fontsize=8)
    axes.minorticks_off()
    axes.set_xlabel("tokens")
    axes.set_ylabel(NATS)
    _trained(axes, results.trained_length)
    _legend(figure, axes)
    return figure


def _by_position(results: StudyResults, text: str) -> "Figure":
    figure, axes = _axes()
    everything = []
    for i, row in enumerate(results.rows):
        if points := row.positions.get(text):
            losses = [loss for _, loss in points]
            axes.plot([place for place, _ in points], losses, label=row.name, **_style(i, row))
            everything += losses
    _window(axes, everything)
    axes.set_xlabel("position")
    axes.set_ylabel(NATS)
    _trained(axes, results.trained_length)
    _legend(figure, axes)
    return figure


def _regression(results: StudyResults) -> "Figure":
    figure, axes = _axes()
    names: list[str] = []
    for i, row in enumerate(results.rows):
        change = results.change(row, results.trained_length)
        if change is not None:
            colour = _style(i, row)["color"]
            place = len(names)
            axes.plot([change.low, change.high], [place, place], color=colour, linewidth=2)
            axes.plot([change.mean], [place], "o", color=colour)
            names.append(row.name)
    axes.axvline(0, color="0.35", linestyle=":")
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(f"{NATS} over the unchanged model's; 95 % interval")
    return figure


def _passkey(results: StudyResults) -> "Figure":
    """One strip a method: lengths to the right, depths downwards, dark where the key is found."""
    rows = [row for row in results.rows if row.passkey]
    columns = min(3, len(rows))
    lines = math.ceil(len(rows) / columns)
    figure = new_figure(figsize=(SIZE[0], 0.5 + 1.45 * lines))
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat:
        axes.set_visible(False)
    for axes, row in zip(grid.flat, rows, strict=False):
        axes.set_visible(True)
        lengths = sorted({n for each in rows for n in each.passkey})
        depths = sorted({depth for found in row.passkey.values() for depth in found})
        shares = [
            [row.passkey.get(n, {}).get(depth, math.nan) for n in lengths] for depth in depths
        ]
        axes.imshow(shares, vmin=0, vmax=1, cmap="Blues", aspect="auto")
        axes.set_title(row.name, fontsize=7)
        axes.set_xticks(range(len(lengths)), [f"{n:,}" for n in lengths], fontsize=6, rotation=45)
        axes.set_yticks(range(len(depths)), [f"{depth:.0%}" for depth in depths], fontsize=6)
    figure.supxlabel("tokens", fontsize=8)
    figure.supylabel("depth of the key", fontsize=8)
    return figure
