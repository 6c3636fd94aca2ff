"""One place to put a figure, whatever the logger."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L

from lightning_posenc.runs import strict_json
from lightning_posenc.runs.main_process import is_writer
from lightning_posenc.runs.png import png
from lightning_posenc.runs.run_directory import FIGURES
from lightning_posenc.runs.whole_files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150


def new_figure(**kwargs: Any) -> "Figure":
    """A matplotlib figure that needs no display; matplotlib is imported on first use."""
    from matplotlib.figure import Figure

    return Figure(layout="constrained", **kwargs)


def log_figure(trainer: L.Trainer, name: str, figure: "Figure", numbers: dict[str, Any]) -> Path:
    """Save `figures/<name>.png` and its numbers, and hand the figure to loggers that take one.

    Args:
        trainer: Its `default_root_dir` is the run directory.
        name: File stem, also the loggers' key under `figures/`.
        figure: The figure.
        numbers: What was plotted, as JSON knows it.

    Returns:
        Path of the PNG.
    """
    path = Path(trainer.default_root_dir, FIGURES, f"{name}.png")
    if not is_writer(trainer):
        return path
    write_whole(path, png(figure, DPI))
    write_whole(path.with_suffix(".json"), strict_json.text(numbers) + "\n")
    for logger in trainer.loggers:
        # Loggers share no interface for figures: W&B takes image files, TensorBoard figures.
        if hasattr(logger, "log_image"):
            logger.log_image(f"figures/{name}", [str(path)], step=trainer.global_step)
            continue
        add_figure = getattr(getattr(logger, "experiment", None), "add_figure", None)
        if add_figure is not None:
            add_figure(f"figures/{name}", figure, trainer.global_step)
    return path
