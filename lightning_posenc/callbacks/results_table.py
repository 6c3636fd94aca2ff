"""The test's results as one table, in the terminal and in the loggers."""

import re
from typing import Any

import lightning as L
from rich.console import Console
from rich.table import Table

from lightning_posenc.callbacks.bounds import bag_of_tokens_bounds
from lightning_posenc.callbacks.tables import log_table

_KEY = re.compile(r"test/(?P<metric>.+)/len_(?P<length>\d+)")


class ResultsTable(L.Callback):
    """Prints a row per test length: every metric, and what a model blind to order can reach.

    Loggers that take tables get it as `tables/test`.
    """

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        found = [(m, float(v)) for k, v in trainer.callback_metrics.items() if (m := _KEY.match(k))]
        if not found or not trainer.is_global_zero:
            return
        values = {(int(m["length"]), m["metric"]): value for m, value in found}
        metrics = sorted({metric for _, metric in values})
        bounds = bag_of_tokens_bounds(trainer)
        encoding = type(pl_module.positional).__name__
        table = Table(title=f"{type(pl_module).__name__} with {encoding}", title_justify="left")
        columns = ["length", *metrics, *(["acc without order, at best"] if bounds else [])]
        rows: list[list[Any]] = [
            [length, *(values[length, metric] for metric in metrics)]
            + ([bounds.get(length)] if bounds else [])
            for length in sorted({length for length, _ in values})
        ]
        for column in columns:
            table.add_column(column, justify="right")
        for length, *scores in rows:
            table.add_row(str(length), *("" if x is None else f"{x:.4f}" for x in scores))
        Console().print(table)
        log_table(trainer, "test", columns, rows)
