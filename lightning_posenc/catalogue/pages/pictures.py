"""What each class does, as a picture: of the numbers that it gives, none drawn by hand.

Shapes: H heads, T tokens, D channels of the stream.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lightning_posenc.catalogue.pages.effects import Effect, influence, positions_of
from lightning_posenc.model import Mixer
from lightning_posenc.positional.rotary.scaling import Scaling
from lightning_posenc.positional.rotary.scaling.base import geometric
from lightning_posenc.positions import Positions
from lightning_posenc.runs.png import png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 110
INK = "#808080"  # is read on white and on black
WIDE, CHANNELS, SIGNED = 9.0, 64, "RdBu_r"
FACTOR, TRAINED = 4.0, 2048


def of_encoding(effect: Effect) -> bytes | None:
    """What an encoding adds to the stream and to the logits; None if it adds nothing anywhere."""
    panels = [*_of_stream(effect.stream), *_of_logits(effect.logits, effect.grid)]
    return _drawn(panels) if panels else None


def _of_stream(stream: Tensor | None) -> list[Any]:
    if stream is None:
        return []
    rows = stream - stream.mean() if stream.std() == 0 else stream
    alike = torch.nn.functional.normalize(rows, dim=-1)
    return [
        partial(_matrix, stream[:, :CHANNELS], "added to the stream", "channel", "token"),
        partial(_matrix, alike @ alike.t(), "cosine of what is added", "token", "token"),
    ]


def _of_logits(logits: Tensor | None, grid: tuple[int, int] | None) -> list[Any]:
    if logits is None:
        return []
    if torch.allclose(logits, logits[:1], equal_nan=True):
        logits = logits[:1]  # one picture stands for all
    n_heads, n = logits.shape[:2]
    names = {head: f"head {head}" if n_heads > 1 else "each head" for head in (0, n_heads - 1)}
    if grid is not None:
        centre = (grid[0] // 2) * grid[1] + grid[1] // 2
        return [
            partial(_matrix, logits[head, centre].view(grid),
                    f"{name}: keys seen by the centre", "column", "row")
            for head, name in names.items()
        ]  # fmt: skip
    shown = [
        partial(_matrix, logits[head], f"{name}: added to the logit", "key", "query")
        for head, name in names.items()
    ]
    return [*shown, partial(_by_distance, logits, n)]


def _matrix(numbers: Tensor, title: str, across: str, down: str, axes: "Axes") -> None:
    """Blue below zero, red above, nothing where a key is hidden."""
    finite = numbers[numbers.isfinite()]
    most = float(finite.abs().amax()) or 1.0
    shown = numbers.where(numbers.isfinite(), torch.nan).numpy()
    image = axes.imshow(
        shown, cmap=SIGNED, vmin=-most, vmax=most, aspect="auto", interpolation="nearest"
    )
    axes.figure.colorbar(image, ax=axes, shrink=0.8, pad=0.03)
    axes.set(title=title, xlabel=across, ylabel=down)


def _by_distance(logits: Tensor, n: int, axes: "Axes") -> None:
    """The mean over pairs at each distance, of every head, or of one where all are alike."""
    place = torch.arange(n)
    delta = place.unsqueeze(1) - place
    distances = [d for d in range(1 - n, n) if logits[0][delta == d].isfinite().any()]
    for head in range(len(logits)):
        means = [float(logits[head][delta == d].nanmean()) for d in distances]
        axes.plot(distances, means, label=f"head {head}", linewidth=1.5)
    axes.set(title="by distance", xlabel="query less key, tokens", ylabel="added to the logit")
    if len(logits) > 1:
        axes.legend(frameon=False, fontsize=7, labelcolor=INK)


def of_mixer(kind: type[Mixer]) -> bytes:
    """How much of each token (across) reaches each other (down)."""
    panels = [
        partial(_influence, influence(kind, causal), "causal" if causal else "bidirectional")
        for causal, name in ((False, "bidirectional"), (True, "causal"))
        if name in kind.serves
    ]
    return _drawn(panels)


def _influence(numbers: Tensor, title: str, axes: "Axes") -> None:
    image = axes.imshow(numbers.numpy(), cmap="viridis", aspect="equal", interpolation="nearest")
    axes.figure.colorbar(image, ax=axes, shrink=0.8, pad=0.03)
    axes.set(title=title, xlabel="token that is read", ylabel="token that reads")


def of_scaling(kind: type[Scaling]) -> bytes:
    """Which pairs of channels it slows down."""
    base, width = 10_000.0, 128
    before = geometric(base, width, torch.device("cpu"))
    long = torch.tensor([[0, int(FACTOR * TRAINED) - 1]])
    after = kind(FACTOR, trained_length=TRAINED)(base, width, long).inv_freq.flatten()
    return _drawn([partial(_waves, before, after), partial(_slowed, before, after)])


def _waves(before: Tensor, after: Tensor, axes: "Axes") -> None:
    for frequencies, label in ((before, "before"), (after, "after")):
        axes.plot((2 * torch.pi / frequencies).numpy(), label=label, linewidth=1.5)
    axes.axhline(TRAINED, color=INK, linestyle=":", linewidth=1)
    axes.text(0, TRAINED * 1.2, "trained length", color=INK, fontsize=7)
    axes.set(
        title="tokens to a full turn", xlabel="pair of channels", ylabel="tokens", yscale="log"
    )
    axes.legend(frameon=False, fontsize=7, labelcolor=INK)


def _slowed(before: Tensor, after: Tensor, axes: "Axes") -> None:
    axes.plot((after / before).numpy(), linewidth=1.5)
    axes.set(title="new frequency / old", xlabel="pair of channels", ylabel="ratio", ylim=(0, 1.1))


def of_sampler(sampler: Positions) -> bytes:
    """Where tokens are, in training and in testing."""
    panels = [
        partial(_positions, positions_of(sampler, training), title)
        for training, title in ((True, "in training"), (False, "in testing"))
    ]
    return _drawn(panels)


def _positions(places: Tensor, title: str, axes: "Axes") -> None:
    """Lines of several sequences, or a matrix where a token has many numbers."""
    if places.dim() == 3 and places.shape[-1] > 3:
        return _matrix(places[0].float(), f"{title}: edges to each node", "node", "token", axes)
    if places.dim() == 3:
        for axis in range(places.shape[-1]):
            axes.plot(places[0, :, axis].numpy(), "o-", markersize=3, label=f"axis {axis}")
        axes.legend(frameon=False, fontsize=7, labelcolor=INK)
    else:
        for row in places:
            axes.plot(row.numpy(), "o-", markersize=3, linewidth=1)
    axes.set(title=title, xlabel="token", ylabel="position")
    return None


def _drawn(panels: Sequence[Any]) -> bytes:
    """Panels side by side, at most three in a row."""
    from matplotlib.figure import Figure

    across = min(len(panels), 3)
    down = -(-len(panels) // across)
    figure = Figure(figsize=(WIDE * across / 3, 2.8 * down))  # a layout of one's own is faster
    figure.subplots_adjust(
        0.17 / across, 0.17 / down, 1 - 0.12 / across, 1 - 0.1 / down, 0.35, 0.45
    )
    for number, draw in enumerate(panels):
        axes = figure.add_subplot(down, across, number + 1)
        draw(axes)
        _inked(axes)
    return _transparent(figure)


def _inked(axes: "Axes") -> None:
    axes.patch.set_alpha(0)
    axes.title.set(color=INK, fontsize=9)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK, fontsize=8)
    axes.tick_params(colors=INK, labelsize=7)
    for spine in axes.spines.values():
        spine.set_color(INK)


def _transparent(figure: "Figure") -> bytes:
    """So that it stands on the page's own colour, light or dark."""
    figure.patch.set_alpha(0)
    for axes in figure.axes:  # colour bars as well
        axes.tick_params(colors=INK, labelsize=7)
    return png(figure, DPI)
