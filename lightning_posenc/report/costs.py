"""What the rows cost: time, memory, parameters, and how they compare with the baseline."""

import math
from typing import TYPE_CHECKING, NamedTuple

from lightning_posenc.diagnostics.quantities import QUANTITIES
from lightning_posenc.report.runs import Run
from lightning_posenc.report.study import Study

if TYPE_CHECKING:
    import pandas as pd

MEMORY = {"cuda": "tensors on the GPU", "process": "resident set of the process"}


class CostColumn(NamedTuple):
    """Something that a run's summary says of its cost.

    Args:
        key: In `summary.json`; a `Quantity`.
        unit: That it is shown in; "" for a number of things.
        scale: From the quantity's unit to that one.
        ratio: Whether it is compared with the baseline.
    """

    key: str
    unit: str = ""
    scale: float = 1.0
    ratio: bool = True

    @property
    def title(self) -> str:
        """Above the column."""
        title = QUANTITIES[self.key].title
        return f"{title}, {self.unit}" if self.unit else title


COLUMNS = (
    CostColumn("seconds_per_step", "ms", 1000.0),
    CostColumn("peak_memory_mb", "MiB"),
    CostColumn("train_seconds", "s"),
    CostColumn("train_tokens", "millions", 1e-6, ratio=False),
    CostColumn("train_flops", "TFLOP", 1e-12),
    CostColumn("train_joules", "Wh", 1 / 3600),
    CostColumn("parameters"),
    CostColumn("positional_parameters", ratio=False),
)


class RowCost(NamedTuple):
    """RowCost of a row.

    Args:
        value: Mean over the columns that every row has of the median over seeds; None if unknown.
        ratio: To the baseline, the geometric mean over the columns that both have; None if unknown.
    """

    value: float | None
    ratio: float | None


def costs(study: Study) -> dict[CostColumn, dict[str, RowCost]]:
    """Every quantity that runs know, by row."""
    found = {}
    for quantity in COLUMNS:
        frame = study.tidy(lambda run, key=quantity.key: _value(run, key))  # type: ignore[misc]
        if len(frame):
            medians = frame.groupby(["row", "column"])["value"].median().unstack("column")
            found[quantity] = _of_rows(study, medians.reindex(study.rows), quantity.scale)
    return found


def memory_of(study: Study) -> str:
    """What the peak of memory is of."""
    said = sorted({str(run.summary["peak_memory_of"]) for run in study.runs
                   if run.summary.get("peak_memory_of")})  # fmt: skip
    return " or ".join(MEMORY.get(each, each) for each in said)


def _value(run: Run, key: str) -> float | None:
    value = run.summary.get(key)
    return None if value is None else float(value)


def _of_rows(study: Study, medians: "pd.DataFrame", scale: float) -> dict[str, RowCost]:
    common = medians.dropna(axis="columns")
    common = medians if common.empty else common
    rows = {}
    for row in study.rows:
        mean = common.loc[row].mean() * scale
        ratios = (medians.loc[row] / medians.loc[study.baseline]).dropna()
        positive = [ratio for ratio in ratios if 0 < ratio < math.inf]
        ratio = math.exp(sum(map(math.log, positive)) / len(positive)) if positive else None
        rows[row] = RowCost(None if math.isnan(mean) else float(mean), ratio)
    return rows
