"""Pictures by depth: how a number changed with the layer and the step."""

import itertools
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import lightning as L
import torch
from torch import Tensor

from lightning_posenc.callbacks.history import History
from lightning_posenc.diagnostics.metric_keys import word_of
from lightning_posenc.diagnostics.quantities import Quantity
from lightning_posenc.runs.figures import log_figure, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN_STEPS = 3  # curves in the panel on the right: the first step, one in the middle, the last
TICKS = 6
LABELLED = 16  # a map of more rows or columns has no numbers in its cells


Mark = tuple[float, str]
"""A value to compare with, and what it is."""


def draw_by_depth(
    trainer: L.Trainer,
    name: str,
    title: str,
    quantities: Sequence[Quantity],
    history: History,
    marks: Mapping[str, Mark] = MappingProxyType({}),
) -> None:
    """Draw `figures/<name>`: for each quantity that has numbers a map, layer by step, and beside it
    the layers at the first, a middle and the last step. The whole history goes into the JSON.

    Args:
        trainer: Says where.
        name: Of the picture.
        title: Above it.
        quantities: What is shown, a row each.
        history: The numbers.
        marks: By a quantity's name; of a quantity without an upper end, the mark is that.
    """
    shown = [quantity for quantity in quantities if history.layers(quantity.name)]
    if not shown:
        return
    figure = new_figure(figsize=(9, 0.6 + 2.5 * len(shown)))
    axes = figure.subplots(len(shown), 2, squeeze=False, sharey="row", width_ratios=(1.5, 1))
    for (left, right), quantity in zip(axes, shown, strict=True):
        draw_panel(left, right, quantity, history, marks.get(quantity.name))
    figure.suptitle(title, fontsize=11)
    log_figure(trainer, name, figure, history.as_json())


def draw_panel(
    left: "Axes", right: "Axes", quantity: Quantity, history: History, mark: Mark | None = None
) -> None:
    """Draw one quantity: the map on the left, curves on the right, depth upwards in both."""
    layers = list(history.layers(quantity.name))
    values = history.by_layer(quantity.name)
    limits = _limits(quantity, mark)
    norm = _norm(values, limits, quantity.log)
    image = left.imshow(values.numpy(), aspect="auto", origin="lower", cmap="viridis", norm=norm)
    left.figure.colorbar(image, ax=left, pad=0.02)
    left.set_title(quantity.label, fontsize=10, loc="left")
    left.set(xlabel="optimizer step", ylabel=quantity.depth)
    left.set_yticks(range(len(layers)), [str(layer) for layer in layers])
    n_steps = len(history.steps)
    ticks = range(0, n_steps, -(-n_steps // TICKS))
    left.set_xticks(ticks, [str(history.steps[tick]) for tick in ticks])
    columns = (
        torch.linspace(0, n_steps - 1, min(n_steps, SHOWN_STEPS), dtype=torch.float64)
        .round()
        .long()
        .tolist()
    )
    height = range(len(layers))
    for column in columns:
        age = (column + 1) / n_steps
        style: dict[str, Any] = {"color": "C0", "alpha": 0.25 + 0.75 * age, "linewidth": 1 + age}
        right.plot(values[:, column], height, ".-", label=f"step {history.steps[column]}", **style)
    if mark is not None:
        right.axvline(mark[0], color="black", linestyle="--", label=mark[1])
    if quantity.log:
        right.set_xscale("log")
        right.set_xlim(norm.vmin, norm.vmax)
        right.xaxis.set_minor_formatter("")
    elif limits is not None:
        margin = 0.03 * (limits[1] - limits[0])
        right.set_xlim(limits[0] - margin, limits[1] + margin)
    right.set_title(quantity.meaning, fontsize=8, loc="left", color="dimgray")
    right.legend(fontsize=7)
    right.grid(alpha=0.3)


def draw_last(
    trainer: L.Trainer, name: str, title: str, quantity: Quantity, what: str, history: History
) -> None:
    """Draw `figures/<name>`: the last numbers of every layer, one beside the other.

    Args:
        trainer: Says where.
        name: Of the picture.
        title: What is shown.
        quantity: One that has several numbers a layer.
        what: Is counted within a layer: "head".
        history: The numbers.
    """
    layers = history.layers(quantity.name)
    if not layers:
        return
    rows = [[column[-1] for column in columns.values()] for columns in layers.values()]
    n_columns = max(map(len, rows))
    padded = [row + [math.nan] * (n_columns - len(row)) for row in rows]
    values = torch.tensor(padded, dtype=torch.float32)
    figure = new_figure(figsize=(2.5 + 0.6 * n_columns, 1.6 + 0.5 * len(rows)))
    ax = figure.subplots()
    image = ax.imshow(values.numpy(), aspect="auto", origin="lower", cmap="viridis", vmin=0)
    figure.colorbar(image, ax=ax)
    ax.set(xlabel=what, ylabel="layer", xticks=range(n_columns))
    ax.set_yticks(range(len(rows)), [str(layer) for layer in layers])
    ax.set_title(title, fontsize=10)
    if max(values.shape) <= LABELLED:
        bright = 0.6 * values.nan_to_num().max()
        for (y, x), value in zip(
            itertools.product(range(len(rows)), range(n_columns)), values.flatten(), strict=True
        ):
            colour = "black" if value > bright else "white"
            ax.text(x, y, f"{value:.2g}", ha="center", va="center", color=colour, fontsize=8)
    numbers = {word_of(layer): row for layer, row in zip(layers, rows, strict=True)}
    log_figure(trainer, name, figure, {"step": history.last_step, **numbers})


def _limits(quantity: Quantity, mark: Mark | None) -> tuple[float, float] | None:
    """The ends of the range, where both are known; a mark stands for one that is not."""
    low, high = quantity.range
    high = mark[0] if mark is not None and math.isinf(high) else high
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def _norm(values: Tensor, limits: tuple[float, float] | None, log: bool) -> Any:
    from matplotlib.colors import LogNorm, Normalize

    if limits is not None:
        return Normalize(*limits)
    seen = values[values.isfinite() & (values > 0 if log else True)]
    low, high = (seen.min().item(), seen.max().item()) if len(seen) else (0.1, 1.0)
    if not log:
        return Normalize(low, high)
    least, most = math.floor(math.log10(low) - 0.05), math.ceil(math.log10(high) + 0.05)
    return LogNorm(vmin=10.0**least, vmax=10.0**most)  # whole decades: noise looks like noise
