"""Panels as PNG files, with their numbers beside them."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_posenc.diagnostics.quantities import BLOCKS, LAYER
from lightning_posenc.pages.colours import colour
from lightning_posenc.report.panels import Band, Panel
from lightning_posenc.runs import strict_json
from lightning_posenc.runs.png import png, saved
from lightning_posenc.runs.run_directory import FIGURES
from lightning_posenc.runs.whole_files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 4.6, 2.2  # inches, of the whole picture and of its axes: fits a phone's width
LEFT, RIGHT, ABOVE, BELOW = 0.6, 0.1, 0.56, 0.42  # inches around the axes, above the legend
LINE = 0.137  # inches of a line of the legend
ROOM = 82  # characters in a line of the legend
DPI = 160
MARKERS = "os^DvPX*<>"
LINES = ("-", "--", ":", "-.")  # from row to row once the ten colours are used up


def draw(panel: Panel, rows: list[str], out: Path, pdf: bool = False) -> bytes:
    """Write `figures/<name>.png` and `.json`.

    Args:
        panel: What to draw.
        rows: All rows of the report: a row has its colour and marker in every picture.
        out: Directory of the report.
        pdf: Whether to write `figures/<name>.pdf` too, whose text is text.

    Returns:
        The PNG.
    """
    figure = drawn(panel, rows)
    image = png(figure, DPI)
    path = out / FIGURES / f"{panel.name}.png"
    write_whole(path, image)
    if pdf:
        write_whole(path.with_suffix(".pdf"), _pdf(figure))
    write_whole(path.with_suffix(".json"), strict_json.text(_numbers(panel), indent=1) + "\n")
    return image


def drawn(panel: Panel, rows: list[str]) -> "Figure":
    """The picture of a panel.

    Args:
        panel: What to draw.
        rows: As in `draw`.
    """
    from matplotlib.figure import Figure

    shown = [row for row in rows if row in panel.bands]
    ncols = max(1, min(4, ROOM // (max(map(len, [*shown, *panel.bounds])) + 7)))
    legend = LINE * math.ceil((len(shown) + len(panel.bounds)) / ncols) + 0.05
    height = ABOVE + HEIGHT + BELOW + legend
    # Places of its own: matplotlib's layouts draw everything twice.
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes(
        (LEFT / WIDTH, (BELOW + legend) / height, 1 - (LEFT + RIGHT) / WIDTH, HEIGHT / height)
    )
    if panel.trained is not None:
        low, high = panel.trained
        margin = 0 if high > low else 0.03 * high
        axes.axvspan(low - margin, high + margin, color="0.88", linewidth=0)
        axes.text(
            (low + high) / 2, 1.01, "trained", transform=axes.get_xaxis_transform(), fontsize=7,
            color="0.45", ha="center",
        )  # fmt: skip
    for line, (name, values) in zip((":", "--"), panel.bounds.items(), strict=False):
        axes.plot(list(values), list(values.values()), "k" + line, linewidth=1, label=name)
    for row in shown:
        _curve(axes, row, panel.bands[row], rows.index(row), panel)
    _frame(axes, panel)
    figure.text(0.02, 1 - 0.08 / height, panel.title, size=10, weight="bold", va="top",
                parse_math=False)  # fmt: skip
    # Not at the side, where it would meet the numbers.
    figure.text(0.02, 1 - 0.27 / height, panel.y, size=8, color="0.35", va="top",
                parse_math=False)  # fmt: skip
    below = figure.legend(
        loc="lower left", bbox_to_anchor=(0, 0), ncols=ncols, fontsize=7.5, frameon=False,
        handlelength=1.8, columnspacing=1.2, labelspacing=0.25, borderaxespad=0.2, borderpad=0.2,
    )  # fmt: skip
    for said in below.get_texts():
        said.set_parse_math(False)  # a row's name may hold a dollar
    return figure


def _pdf(figure: "Figure") -> bytes:
    """A figure as PDF, without the time that it was made at; with the fonts that journals want."""
    from matplotlib import rc_context

    with rc_context({"pdf.fonttype": 42}):
        return saved(figure, format="pdf", metadata={"CreationDate": None})


def _curve(axes: "Axes", row: str, band: Band, i: int, panel: Panel) -> None:
    style: dict[str, Any] = {"color": colour(i), "linestyle": LINES[i // 10 % len(LINES)]}
    if len(band.x) <= 24:
        style |= {"marker": MARKERS[i % len(MARKERS)], "markersize": 4}
    axes.plot(band.x, band.mean, label=row, linewidth=1.4, **style)
    if band.seeds > 1:
        axes.fill_between(
            band.x, band.low, band.high, color=style["color"], alpha=0.15, linewidth=0
        )


def _frame(axes: "Axes", panel: Panel) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.tick_params(labelsize=8)
    axes.set_xlabel(panel.x, fontsize=8)
    if panel.x in (LAYER, BLOCKS):
        last = int(max(x for band in panel.bands.values() for x in band.x))
        axes.set_xticks(range(0, last + 1, max(1, math.ceil(last / 8))))
    if panel.unit:
        axes.set_ylim(-0.03, 1.03)
        return
    values = [y for band in panel.bands.values() for y in band.mean if math.isfinite(y)]
    if panel.log and values and 0 < 10 * min(values) < max(values):
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter("")
    else:  # with a common power of ten, so that no label is wider than its place
        axes.ticklabel_format(axis="y", scilimits=(-2, 4), useOffset=False)
        axes.yaxis.get_offset_text().set_fontsize(7)


def _numbers(panel: Panel) -> dict[str, Any]:
    def rounded(values: list[float]) -> list[float]:
        return [float(f"{v:.6g}") for v in values]

    return {
        "title": panel.title,
        "x": panel.x,
        "y": panel.y,
        "trained_lengths": panel.trained,
        "bounds": {name: dict(values) for name, values in panel.bounds.items()},
        "rows": {
            row: {
                "x": rounded(band.x),
                "mean": rounded(band.mean),
                "lowest_seed": rounded(band.low),
                "highest_seed": rounded(band.high),
                "runs": band.seeds,
            }
            for row, band in panel.bands.items()
        },
    }
