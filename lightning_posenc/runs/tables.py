"""One place to put a table, whatever the logger."""

from typing import Any

import lightning as L

from lightning_posenc.mistakes.escaping import markdown
from lightning_posenc.runs.main_process import is_writer


def log_table(trainer: L.Trainer, name: str, columns: list[str], rows: list[list[Any]]) -> None:
    """Hand a table to the loggers that take one: W&B as a table, TensorBoard as text.

    Args:
        trainer: Its loggers.
        name: The loggers' key under `tables/`.
        columns: Names of the columns.
        rows: Values, one for each column; the values of a column are of one type, or None.
    """
    if not is_writer(trainer):
        return
    for logger in trainer.loggers:
        if hasattr(logger, "log_table"):
            logger.log_table(f"tables/{name}", columns, rows, step=trainer.global_step)
            continue
        add_text = getattr(getattr(logger, "experiment", None), "add_text", None)
        if add_text is not None:
            add_text(f"tables/{name}", _markdown(columns, rows), trainer.global_step)


def _markdown(columns: list[str], rows: list[list[Any]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: Any) -> str:
    text = f"{value:.4f}" if isinstance(value, float) else "" if value is None else str(value)
    return markdown(text).replace("|", r"\|")
