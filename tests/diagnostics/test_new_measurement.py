"""What a new diagnostic takes: a function, and a row of the table. The rest follows.

The callback that watches it, its panel in a report and its place on the doctor's page come from
the row (recipe (c): the function's file, the table's, a test).
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_posenc.callbacks import Watch
from lightning_posenc.diagnose import examination, page
from lightning_posenc.diagnose.ailments import judged
from lightning_posenc.diagnostics import Observation, quantities
from lightning_posenc.diagnostics.measures import measure
from lightning_posenc.diagnostics.quantities import BLOCKS, Measurement, Quantity
from lightning_posenc.report import panels
from tests.diagnose.test_doctor import LENGTH, subject
from tests.report.made_runs import class_of, config, write
from tests.report.test_results import REVERSE, study_of


def spread_by_depth(seen: Observation, lengths: Tensor | None) -> dict[str, dict[int, float]]:
    """The standard deviation of the states, by blocks passed."""
    return {"spread": {n: float(x.std()) for n, x in enumerate(seen.hidden)}}


SPREAD = Measurement(
    "state_spread",
    "spread of the states",
    f"{__name__}.spread_by_depth",
    (Quantity("spread/{layer}", "spread of the states", "0: all the same", depth=BLOCKS),),
)


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row, as if it stood in the file."""
    table = (*quantities.MEASUREMENTS, SPREAD)
    for module in (quantities, measure, examination):
        monkeypatch.setattr(module, "MEASUREMENTS", table)
    monkeypatch.setitem(quantities.QUANTITIES, "spread", SPREAD.quantities[0])


@pytest.mark.usefixtures("added")
def test_a_row_is_watched_drawn_and_shown_by_the_doctor(tmp_path: Path) -> None:
    someone = subject()
    watch = Watch(["state_spread"])
    with torch.no_grad():
        watched = watch.measure(someone.module, someone.batch, 0)
    assert list(watched) == [f"spread/layer_{n:02d}" for n in range(3)]

    run = tmp_path / "run"
    made = config(class_of("positional", "NoPE"), REVERSE, 0)
    write(run, made, {20: 0.5}, diagnostics=False)
    rows = {"step": 1, **watched}
    (run / "metrics.csv").write_text(
        "\n".join(",".join(map(str, line)) for line in (rows.keys(), rows.values()))
    )
    (panel,) = panels.by_depth(study_of(tmp_path))["Reverse"]
    assert (panel.title, panel.y, panel.x) == ("Spread of the states", "0: all the same", BLOCKS)
    assert panel.bands["NoPE"].mean == pytest.approx(list(watched.values()))

    e = examination.examine(someone)
    assert e.by_layer["spread"] == pytest.approx(list(watched.values()))
    assert e.length == LENGTH
    assert "| spread of the states (0: all the same) | " in page.markdown(e, judged(e))
    drawn: list[Any] = []
    trainer = SimpleNamespace(is_global_zero=True, default_root_dir=tmp_path, loggers=[])
    watch.history.add(0, {key: float(value) for key, value in watched.items()})
    watch.draw(trainer)  # type: ignore[arg-type]
    drawn += (tmp_path / "figures").glob("state_spread.*")
    assert {path.suffix for path in drawn} == {".png", ".json"}
