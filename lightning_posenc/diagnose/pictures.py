"""Pictures of an examination, as PNG files or within a page."""

import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import pad

from lightning_posenc.diagnose.ailments.signal import probe_error
from lightning_posenc.diagnose.examination import Examination
from lightning_posenc.diagnose.heads import KINDS, OFFSET, OTHER
from lightning_posenc.diagnostics.quantities import BLOCKS, QUANTITIES
from lightning_posenc.runs.figures import new_figure
from lightning_posenc.runs.png import data_uri, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENTROPY = "attn/normalised_entropy"
SINK = "attn/sink"
SIZE = (5.2, 3.4)  # inches: readable on a phone's width


def pictures(examination: Examination) -> dict[str, str]:
    """Data URIs of PNGs, by title; what was not measured is left out."""
    return {title: data_uri(png(figure, 140)) for title, figure in drawn(examination).items()}


def drawn(examination: Examination) -> dict[str, "Figure"]:
    """The pictures by title; what was not measured is left out."""
    found = {title: draw(examination) for title, draw in _PICTURES.items()}
    return {title: figure for title, figure in found.items() if figure is not None}


def _axes(**kwargs: Any) -> tuple["Figure", "Axes"]:
    figure = new_figure(figsize=SIZE)
    axes = figure.subplots(**kwargs)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _depth(axes: "Axes", n: int, label: str) -> None:
    axes.set_xlabel(label)
    axes.set_xticks(range(0, n, max(1, n // 8)))
    axes.set_xlim(-0.3, n - 0.7)


def _states(e: Examination) -> "Figure | None":
    if not e.sizes:
        return None
    figure, axes = _axes()
    columns = {
        **{
            row.described.replace(" (", "\n("): e.by_layer.get(row.name, [])
            for row in (QUANTITIES["rank/residual"], QUANTITIES["pos_share"])
        },
        "change when tokens are shuffled": [min(x, 1.5) for x in e.order.states],
    }
    for (name, values), marker in zip(columns.items(), "os^", strict=True):
        if values:
            axes.plot(values, marker=marker, label=name)
    axes.set_ylim(-0.05, 1.6)
    _depth(axes, len(e.sizes), BLOCKS)
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    return figure


def _entropy(e: Examination) -> "Figure | None":
    if ENTROPY not in e.by_layer:
        return None
    figure, axes = _axes()
    heads = torch.tensor(e.by_layer[ENTROPY])
    image = axes.imshow(heads.numpy(), vmin=0, vmax=1, cmap="viridis", aspect="auto")
    axes.set_xlabel("head")
    axes.set_ylabel("layer")
    axes.set_xticks(range(0, heads.shape[1], max(1, heads.shape[1] // 8)))
    axes.set_yticks(range(0, heads.shape[0], max(1, heads.shape[0] // 8)))
    if heads.numel() <= 64:
        for row, values in enumerate(heads.tolist()):
            for column, value in enumerate(values):
                colour = "black" if value > 0.6 else "white"
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour)
    figure.colorbar(image, label=QUANTITIES[ENTROPY].meaning)
    return figure


def _probe(e: Examination) -> "Figure | None":
    probe = probe_error(e)
    if not probe:
        return None
    figure, axes = _axes()
    axes.plot(probe, marker="o")
    axes.axhline(0.25, color="grey", linestyle=":")
    axes.text(0, 0.255, "chance", color="grey", fontsize=8)
    axes.set_ylim(-0.01, 0.3)
    axes.set_ylabel("mean error / length (0: exact)")
    _depth(axes, len(probe), BLOCKS)
    return figure


def _gradient(e: Examination) -> "Figure | None":
    if e.gradients is None or not any(value > 0 for value in e.gradients.residual):
        return None
    figure, axes = _axes()
    axes.plot(e.gradients.residual, marker="o", label="residual stream")
    for (channel, layers), marker in zip(e.gradients.contributions.items(), "s^vD", strict=False):
        axes.plot(list(layers), list(layers.values()), marker=marker, label=f"through {channel}")
    axes.set_yscale("log")
    axes.set_ylabel("norm of the gradient")
    _depth(axes, len(e.gradients.residual), BLOCKS)
    axes.legend(fontsize=8, frameon=False)
    return figure


def _sinks(e: Examination) -> "Figure | None":
    if SINK not in e.by_layer:
        return None
    figure, axes = _axes()
    heads = torch.tensor(e.by_layer[SINK])
    image = axes.imshow(heads.numpy(), vmin=0, vmax=1, cmap="magma", aspect="auto")
    axes.set_xlabel("head")
    axes.set_ylabel("layer")
    axes.set_xticks(range(0, heads.shape[1], max(1, heads.shape[1] // 8)))
    axes.set_yticks(range(0, heads.shape[0], max(1, heads.shape[0] // 8)))
    figure.colorbar(image, label=QUANTITIES[SINK].title)
    return figure


def _dilution(e: Examination) -> "Figure | None":
    if e.dilution is None or not e.dilution.slopes:
        return None
    figure, axes = _axes()
    for layer, slopes in enumerate(e.dilution.slopes):
        axes.scatter(
            [layer] * len(slopes), slopes, s=[20 + 80 * best for best in e.dilution.best[layer]]
        )
    axes.axhline(1, color="grey", linestyle=":")
    axes.text(-0.25, 1.01, "uniform attention", color="grey", fontsize=8)
    axes.axhline(0, color="grey", linewidth=0.5)
    title = textwrap.fill(QUANTITIES["attn/dilution"].title, 30)
    axes.set_ylabel(f"{title}\n(size: weight of the best key)")
    _depth(axes, len(e.dilution.slopes), "layer")
    return figure


def _bands(e: Examination) -> "Figure | None":
    """Planes from the fastest on; those that finish no turn within the trained length are ruled."""
    if not e.bands:
        return None
    figure, axes = _axes()
    n = max(each.shares.shape[-1] for each in e.bands.values())
    rows = [
        pad(each.shares.mean(dim=0), (0, n - each.shares.shape[-1])) for each in e.bands.values()
    ]
    image = axes.imshow(torch.stack(rows).numpy(), vmin=0, cmap="viridis", aspect="auto")
    last = [*e.bands.values()][-1]
    waves = pad(last.wavelengths.median(dim=0).values, (0, n - last.shares.shape[-1]))
    places = range(0, n, max(1, n // 6))
    words = ["still" if waves[i].isinf() else f"{waves[i]:.3g}" for i in places]
    axes.set_xticks(places, words)
    axes.set_xlabel("steps of a whole turn of the plane")
    axes.set_ylabel("layer")
    every = list(e.bands)
    rows_shown = range(0, len(every), max(1, len(every) // 8))
    axes.set_yticks(rows_shown, [str(every[i]) for i in rows_shown])
    done = int((waves <= last.extent).sum())
    if 0 < done < n:
        axes.axvline(done - 0.5, color="white", linestyle=":")
        axes.set_title(f"right of the line: no whole turn in {last.extent:,} steps", fontsize=8)
    figure.colorbar(image, label="share of the logits' variance")
    return figure


def _heads(e: Examination) -> "Figure | None":
    if not e.heads:
        return None
    figure, axes = _axes()
    costs = [abs(each.removed or 0.0) for each in e.heads]
    most = max(max(costs), 1e-9)
    for number, kind in enumerate(KINDS):
        of = [(head, cost) for head, cost in zip(e.heads, costs, strict=True) if head.kind == kind]
        if not of:
            continue
        colour = "lightgrey" if kind == OTHER else f"C{number}"
        axes.scatter(
            [head.head for head, _ in of],
            [head.layer for head, _ in of],
            s=[30 + 220 * cost / most for _, cost in of],
            color=colour,
            label=kind,
        )
    for each in e.heads:
        if each.kind == OFFSET:
            axes.text(each.head, each.layer, str(each.at), ha="center", va="center", fontsize=7)
    axes.set_xlabel("head")
    axes.set_ylabel("layer")
    n_heads = 1 + max(each.head for each in e.heads)
    n_layers = 1 + max(each.layer for each in e.heads)
    axes.set_xticks(range(0, n_heads, max(1, n_heads // 8)))
    axes.set_yticks(range(0, n_layers, max(1, n_layers // 8)))
    axes.invert_yaxis()
    axes.margins(0.15)
    axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1), markerscale=0.6)
    return figure


def _loss(e: Examination) -> "Figure | None":
    found = e.language
    if found is None or not found.by_place:
        return None
    figure, axes = _axes()
    middles = [(a * (b - 1)) ** 0.5 if a else 0.5 * (b - 1) for a, b in found.stretches]
    places = [middle + 1 for middle in middles]
    axes.plot(places, [each.mean for each in found.by_place], marker="o", label="by position")
    low, high = ([each[i] for each in found.by_place] for i in (1, 2))
    axes.fill_between(places, low, high, alpha=0.2, linewidth=0)
    if found.by_context:
        contexts = list(found.by_context)
        axes.errorbar(
            contexts, [each.mean for each in found.by_context.values()], marker="s",
            yerr=[
                [each.mean - each.low for each in found.by_context.values()],
                [each.high - each.mean for each in found.by_context.values()],
            ],
            label=f"the last {found.n_last} tokens, by context", capsize=2,
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("tokens before, and the token itself")
    axes.set_ylabel("loss, in nats")
    axes.legend(fontsize=8, frameon=False)
    return figure


def _locality(e: Examination) -> "Figure | None":
    if not e.locality:
        return None
    figure, axes = _axes()
    for (length, each), marker in zip(e.locality.items(), "os^Dv*<>", strict=False):
        kept = [sum(heads) / len(heads) for heads in each.kept]
        near = [sum(heads) / len(heads) for heads in each.near]
        (line,) = axes.plot(near, marker=marker, label=f"{length:,}: nearer key wins")
        axes.plot(kept, marker=marker, linestyle="--", color=line.get_color(),
                  label=f"{length:,}: order of keys kept")  # fmt: skip
    axes.axhline(0.5, color="grey", linestyle=":")
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("share of pairs (0.5: chance)")
    _depth(axes, max(len(each.near) for each in e.locality.values()), "layer")
    axes.legend(fontsize=7, frameon=False)
    return figure


def _curve(e: Examination) -> "Figure | None":
    if e.curve is None:
        return None
    figure, axes = _axes()
    shares = torch.tensor(list(e.curve.accuracy.values())).T
    image = axes.imshow(shares.numpy(), vmin=0, vmax=1, cmap="cividis", aspect="auto")
    axes.set_xticks(range(shares.shape[1]), [f"{n:,}" for n in e.curve.accuracy])
    axes.set_yticks(
        range(len(shares)), [f"{(i + 0.5) / len(shares):.0%}" for i in range(len(shares))]
    )
    axes.set_xlabel("length")
    axes.set_ylabel("depth of the answer")
    for row, values in enumerate(shares.tolist()):
        for column, value in enumerate(values):
            if value == value:
                ink = "black" if value > 0.5 else "white"
                axes.text(column, row, f"{value:.0%}", ha="center", va="center", color=ink)
    figure.colorbar(image, label="accuracy")
    return figure


def _passkey(e: Examination) -> "Figure | None":
    found = e.language.passkey if e.language else None
    if found is None:
        return None
    figure, axes = _axes()
    image = axes.imshow(
        found.shares.T.numpy(), vmin=0, vmax=1, cmap="cividis", aspect="auto", origin="upper"
    )
    axes.set_xticks(range(len(found.lengths)), [f"{n:,}" for n in found.lengths])
    axes.set_yticks(range(len(found.depths)), [f"{depth:.0%}" for depth in found.depths])
    axes.set_xlabel("tokens of the prompt")
    axes.set_ylabel("depth of the key")
    for column, shares in enumerate(found.shares.tolist()):
        for row, share in enumerate(shares):
            ink = "black" if share > 0.5 else "white"
            axes.text(column, row, f"{share:.0%}", ha="center", va="center", color=ink)
    figure.colorbar(image, label="share of keys found")
    return figure


_PICTURES: dict[str, Callable[[Examination], "Figure | None"]] = {
    "States by depth": _states,
    "Attention's entropy by layer and head": _entropy,
    "Position read by a probe, by depth": _probe,
    "Gradient by depth": _gradient,
    "Sinks: weight on the first token, by layer and head": _sinks,
    "Dilution: entropy's growth with length, by layer and head": _dilution,
    "Planes of the rotation by layer": _bands,
    "Heads by what they are for (size: what the loss grows by without one)": _heads,
    "Loss by position, and by context": _loss,
    "Near and far keys, by layer and length": _locality,
    "Accuracy by depth of the answer and length": _curve,
    "Passkey by depth and length": _passkey,
}
