"""A run, read from its directory: while it goes on, or years later."""

from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_posenc.api.shown import ShownResult
from lightning_posenc.diagnostics.metric_keys import is_loss, parse
from lightning_posenc.report import runs
from lightning_posenc.runs.checkpoint_files import newest
from lightning_posenc.runs.figures import DPI, new_figure
from lightning_posenc.runs.run_directory import CHECKPOINTS, FIGURES, METRICS

if TYPE_CHECKING:
    import lightning as L
    import pandas as pd
    from matplotlib.figure import Figure

    from lightning_posenc.inference.predictor import Predictor

BEST = "best.ckpt"
CURVES = "Curves"


class RunResult(ShownResult):
    """What a run has measured so far, and what it made.

    Example:
        >>> from lightning_posenc.api import RunResult
        >>> RunResult("runs/nowhere")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ValueError: report runs/nowhere: does not exist: ...

    Args:
        directory: The run's own.
        module: The trained module, if it is at hand.
        data: Its data module, likewise.
        trainer: Its trainer, likewise.

    Raises:
        ValueError: If there is no run.
    """

    def __init__(
        self,
        directory: str | Path,
        module: "L.LightningModule | None" = None,
        data: "L.LightningDataModule | None" = None,
        trainer: "L.Trainer | None" = None,
    ) -> None:
        self.directory = Path(directory)
        self.module, self.data, self.trainer = module, data, trainer
        found = runs.find([self.directory])
        if len(found) > 1:
            raise ValueError(f"{directory} holds {len(found)} runs: name one, or use api.report")
        (self._run,) = found

    @property
    def status(self) -> str:
        """`finished`, or why it is not: `failed`, `diverged`, `interrupted`, `unfinished`."""
        return self._run.status

    @property
    def config(self) -> dict[str, Any]:
        """Everything that was set, as `config.yaml` has it."""
        return self._run.config

    @property
    def summary(self) -> dict[str, Any]:
        """`summary.json`: metrics, seconds, parameters, versions."""
        return self._run.summary

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric, by key: `val/loss`, `test/acc/len_32`."""
        return self._run.metrics

    @cached_property
    def history(self) -> "pd.DataFrame":
        """All that was logged, a row for each step that logged something, as `metrics.csv` has it;
        empty if there is none. What is no number is none: a line may be half written.
        """
        import pandas as pd

        try:
            path = self.directory / METRICS
            frame = pd.read_csv(path, on_bad_lines="skip", encoding_errors="replace")
        except (OSError, ValueError):  # pandas' errors of parsing are ValueErrors
            frame = pd.DataFrame()
        if "step" not in frame:
            return pd.DataFrame()
        return frame.apply(pd.to_numeric, errors="coerce").dropna(subset="step")

    @property
    def by_length(self) -> "pd.DataFrame":
        """The test's metrics (columns) by length (rows)."""
        import pandas as pd

        found: dict[str, dict[int, float]] = {}
        for key, value in self.metrics.items():
            of = parse(key)
            if of.stage == "test" and isinstance(of.length, int):
                found.setdefault(of.name, {})[of.length] = value
        frame = pd.DataFrame(found).sort_index()
        frame.index.name = self._run.length_axis
        return frame

    @property
    def checkpoint(self) -> Path:
        """Its best checkpoint; the newest if none is the best.

        Raises:
            ValueError: If it has none.
        """
        best = self.directory / CHECKPOINTS / BEST
        if best.exists():
            return best
        found = newest(self.directory)
        if found is None:
            raise ValueError(f"{self.directory} has no checkpoint: {self.status}")
        return Path(found)

    def load(self, **options: Any) -> "Predictor":
        """What answers by its best checkpoint.

        Args:
            options: As `lightning_posenc.load` takes them.
        """
        from lightning_posenc.inference.loading import load

        return load(self.checkpoint, **options)

    @property
    def title(self) -> str:
        keys = self._run.keys
        kinds = (keys.get("model.class_path", keys.get("model")), keys.get("model.positional"))
        names = [str(kind).rpartition(".")[2] for kind in kinds if isinstance(kind, str)]
        return " with ".join(names) or "A run"

    @property
    def said(self) -> list[str]:
        why = f": {self._run.why}" if self._run.why else ""
        steps, seconds = self.summary.get("steps", 0), self.summary.get("seconds", 0.0)
        return [f"{self.status}{why} after {steps} steps, {seconds:.0f} s, in {self.directory}"]

    @property
    def table(self) -> "pd.DataFrame":
        return self.by_length

    @property
    def figures(self) -> "dict[str, Figure]":
        """Curves of what was logged, and the pictures that the run drew."""
        curves = self._curves()
        found = {} if curves is None else {CURVES: curves}
        for path in sorted((self.directory / FIGURES).glob("*.png")):
            with suppress(OSError, ValueError, SyntaxError):  # Pillow's, of what is half written
                found[path.stem.replace("_", " ")] = _pictured(path)
        return found

    def _curves(self) -> "Figure | None":
        """Losses, and the other numbers of training and validation, by step."""
        history = self.history
        if "step" not in history:
            return None
        keys = [k for k in history if k != "step" and _is_curve(k) and history[k].notna().any()]
        panels = [[k for k in keys if is_loss(k)], [k for k in keys if not is_loss(k)]]
        panels = [panel for panel in panels if panel]
        if not panels:
            return None
        figure = new_figure(figsize=(4.2 * len(panels), 3))
        for axes, panel in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
        ):
            for key in panel:
                told = history[["step", key]].dropna()
                axes.plot(told["step"], told[key], label=key, marker="." if len(told) < 30 else "")
            axes.set_xlabel("optimizer step")
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(fontsize=8, frameon=False)
        return figure


def _is_curve(key: str) -> bool:
    of = parse(key)
    return of.stage in ("train", "val") and of.layer is None


def _pictured(path: Path) -> "Figure":
    from matplotlib.figure import Figure
    from matplotlib.image import imread

    pixels = imread(path)
    height, width = pixels.shape[:2]
    figure = Figure(figsize=(width / DPI, height / DPI))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(pixels)
    axes.set_axis_off()
    return figure
