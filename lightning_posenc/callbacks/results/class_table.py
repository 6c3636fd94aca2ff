"""What a test says of each class: a table, and a picture of which is taken for which.

Shapes: C classes.
"""

from typing import Any

import lightning as L
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from lightning_posenc.callbacks.module_fits import fits
from lightning_posenc.data.batch import Batch
from lightning_posenc.mistakes.escaping import plain
from lightning_posenc.modules.classifiers import Classifier
from lightning_posenc.runs.figures import log_figure, new_figure
from lightning_posenc.runs.main_process import is_writer
from lightning_posenc.runs.tables import log_table
from lightning_posenc.tasks import IGNORE

MOST_CLASSES = 60  # of a picture that a person can read
MOST_PRINTED = 20  # of a terminal
MOST_WRITTEN = 20  # classes of a picture whose cells have room for a number
COLUMNS = ("class", "precision", "recall", "F1", "n", "taken for")


class ClassTable(L.Callback):
    """Counts which class is taken for which, where classes have names, and draws
    `figures/classes`.

    The numbers beside it say of each class its precision, recall, F1 and how often it occurs, at
    each test length; the picture and the terminal's table are of the first length. Loggers that
    take tables get that as `tables/classes`.
    """

    def __init__(self) -> None:
        self._counts: dict[int, MulticlassConfusionMatrix] = {}  # by length
        self._names: list[str] = []

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._counts = {}
        names = getattr(getattr(trainer, "datamodule", None), "class_names", None)
        told = isinstance(pl_module, Classifier) and bool(names)
        self._names = [str(each) for each in names] if told else []  # type: ignore[union-attr]

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        n = len(self._names)
        if not 2 <= n <= MOST_CLASSES or not fits(self, pl_module, batch, "test_length"):
            return
        if not isinstance(outputs, Tensor) or outputs.shape != batch.targets.shape:
            return
        length = pl_module.test_length(batch, dataloader_idx)  # type: ignore[operator]
        if length not in self._counts:
            made = MulticlassConfusionMatrix(n, ignore_index=IGNORE, validate_args=False)
            self._counts[length] = made.to(outputs.device)
        self._counts[length].update(outputs, batch.targets)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        found = {length: counts.compute().cpu() for length, counts in self._counts.items()}
        if not found or not is_writer(trainer):
            return
        length = next(iter(found))
        rows = rows_of(found[length], self._names)
        numbers = {
            "classes": self._names,
            "counts": {n: counts.tolist() for n, counts in found.items()},
            "scores": {n: rows_of(counts, self._names) for n, counts in found.items()},
        }
        log_figure(trainer, "classes", _drawn(found[length], self._names), numbers)
        cells = [[row[column] for column in COLUMNS] for row in rows]
        log_table(trainer, "classes", list(COLUMNS), cells)
        _print(rows)


def rows_of(counts: Tensor, names: list[str]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class, and the class that it is most often taken for.

    They are scikit-learn's, but for None where it would divide by 0: there is no precision of a
    class that was never said, no recall of one that never occurs.

    Args:
        counts: (C, C), how often a class (row) was taken for which (column).
        names: Of the classes.
    """
    rows = []
    for n, name in enumerate(names):
        right = int(counts[n, n])
        said, there = int(counts[:, n].sum()), int(counts[n].sum())
        others = counts[n].clone()
        others[n] = 0
        mistaken = int(others.argmax())
        rows.append(
            {
                "class": name,
                "precision": _share(right, said),
                "recall": _share(right, there),
                "F1": _share(2 * right, said + there),
                "n": there,
                "taken for": f"{names[mistaken]} ({int(others[mistaken])})"
                if others[mistaken]
                else "",
            }
        )
    return rows


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _print(rows: list[dict[str, Any]]) -> None:
    """The classes that occur most often, in the order of the others."""
    often = sorted(rows, key=lambda row: -row["n"])[:MOST_PRINTED]
    table = Table(title="by class", title_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in ("class", "taken for") else "right")
    for row in (row for row in rows if any(row is each for each in often)):
        values = (row[column] for column in COLUMNS)
        table.add_row(*(_cell(value) for value in values))
    console = Console()
    console.print(table, markup=False)
    if len(rows) > len(often):
        console.print(f"and {len(rows) - len(often)} rarer classes: figures/classes.json")


def _cell(value: Any) -> Any:
    from rich.text import Text

    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else Text(plain(str(value)))


def _drawn(counts: Tensor, names: list[str]) -> Any:
    """A picture of (C, C) counts, each row coloured by its shares."""
    n = len(names)
    shares = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    side = min(4 + 0.3 * n, 14)
    figure = new_figure(figsize=(side + 1, side))
    ax = figure.subplots()
    image = ax.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    shown = [plain(name if len(name) <= 20 else f"{name[:19]}…") for name in names]
    ax.set_xticks(range(n), shown, rotation=90 if n > 4 else 0, parse_math=False)
    ax.set_yticks(range(n), shown, parse_math=False)
    ax.set(xlabel="said", ylabel="true", title="which class is taken for which")
    for row, column in torch.cartesian_prod(*[torch.arange(n)] * 2) if n <= MOST_WRITTEN else ():
        if count := int(counts[row, column]):
            colour = "white" if shares[row, column] > 0.6 else "black"
            ax.text(int(column), int(row), str(count), ha="center", va="center", color=colour)
    figure.colorbar(image, ax=ax, label="share of the true class")
    return figure
