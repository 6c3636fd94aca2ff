"""The test's results as one table, in the terminal and in the loggers."""

from typing import Any

import lightning as L
from rich.console import Console
from rich.table import Table

from lightning_posenc.callbacks.results.baselines import bag_of_tokens_bounds
from lightning_posenc.callbacks.results.length_axis import length_axis
from lightning_posenc.diagnostics.metric_keys import Key, by_length, parse
from lightning_posenc.diagnostics.quantities import MAJORITY, QUANTITIES, WITHOUT_ORDER
from lightning_posenc.runs.tables import log_table

TITLES = {WITHOUT_ORDER: f"acc {QUANTITIES[WITHOUT_ORDER].title}", MAJORITY: MAJORITY}
UNSHOWN = {"acc_balanced"}  # a line of a terminal has no room for it; the summary has it
NATURAL = {
    "f1_macro",
    "ece",
    MAJORITY,
}  # of data as it comes; tasks have the bound, which says more
UNBALANCED = 0.8  # share of one class from which an accuracy says little


class ResultsTable(L.Callback):
    """Prints a row per test length: the metrics, and beside them what a model that is blind to
    order can reach or, where that is not known, one that always says the most frequent class.

    Loggers that take tables get it as `tables/test`. The former is logged as
    `test/acc_without_order/len_<T>`.
    """

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for length, bound in bag_of_tokens_bounds(trainer).items():
            if length in getattr(trainer.datamodule, "eval_lengths", ()):  # type: ignore[attr-defined]
                key = Key(WITHOUT_ORDER, "test", length)
                pl_module.log(str(key), float(bound), sync_dist=True)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        values = {
            (of.length, of.name): float(value)
            for key, value in trainer.callback_metrics.items()
            if (of := parse(key)).stage == "test" and isinstance(of.length, int)
        }
        if not values or not trainer.is_global_zero:
            return
        names = {metric for _, metric in values} - UNSHOWN
        names -= NATURAL if WITHOUT_ORDER in names else set()
        metrics = sorted(names, key=lambda name: (name in TITLES, name))
        title = type(pl_module).__name__
        if (encoding := getattr(pl_module, "positional", None)) is not None:
            title += f" with {type(encoding).__name__}"
        table = Table(title=title, title_justify="left")
        columns = [length_axis(trainer), *(TITLES.get(metric, metric) for metric in metrics)]
        rows: list[list[Any]] = [
            [length, *(values.get((length, metric)) for metric in metrics)]
            for length in sorted({length for length, _ in values})
        ]
        for column in columns:
            table.add_column(column, justify="right")
        for length, *scores in rows:
            table.add_row(str(length), *("" if x is None else f"{x:.4f}" for x in scores))
        console = Console()
        console.print(table)
        common = by_length(trainer.callback_metrics, MAJORITY)
        if common and (most := max(common.values())) > UNBALANCED:
            console.print(
                f"beware: {most:.1%} of the targets are of one class, so that an accuracy says "
                "little: see f1_macro and acc_balanced",
                style="yellow",
                highlight=False,
            )
        log_table(trainer, "test", columns, rows)
