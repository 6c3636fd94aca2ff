"""`metrics.csv` of a run that was stopped and goes on."""

import csv
from pathlib import Path

from lightning_posenc.runs.metrics_csv import MetricsCSV


def rows(run_dir: Path) -> list[dict[str, str]]:
    with (run_dir / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]


def written(run_dir: Path) -> list[dict[str, str]]:
    """Three steps, and a validation after the second."""
    logger = MetricsCSV(run_dir)
    logger.log_metrics({"loss": 3.0}, 0)
    logger.log_metrics({"loss": 2.0}, 1)
    logger.log_metrics({"acc": 0.5}, 1)
    logger.log_metrics({"loss": 1.0}, 2)
    return rows(run_dir)


def test_each_row_is_in_the_file_at_once(tmp_path: Path) -> None:
    assert [row["step"] for row in written(tmp_path)] == ["0", "1", "1", "2"]


def test_what_followed_the_checkpoint_is_forgotten(tmp_path: Path) -> None:
    before = written(tmp_path)
    logger = MetricsCSV(tmp_path, first_step=2)
    logger.log_metrics({"acc": 0.5}, 1)  # the validation is made again
    assert rows(tmp_path) == before[:3]
    logger.log_metrics({"loss": 1.0}, 2)
    logger.log_metrics({"loss": 1.0}, 3)
    assert rows(tmp_path) == [*before, {"loss": "1.0", "step": "3"}]


def test_a_row_that_was_not_logged_before_is_kept(tmp_path: Path) -> None:
    written(tmp_path)
    logger = MetricsCSV(tmp_path, first_step=1)
    logger.log_metrics({"acc": 0.25}, 0)
    assert rows(tmp_path) == [{"loss": "3.0", "step": "0"}, {"acc": "0.25", "step": "0"}]


def begun(logger: MetricsCSV) -> None:
    """A run that had nothing more to log."""
    _ = logger.experiment
    logger.finalize("success")


def test_the_row_that_was_to_come_is_written_once(tmp_path: Path) -> None:
    before = written(tmp_path)
    begun(MetricsCSV(tmp_path, first_step=3, last_row={"loss": 1.0}))
    assert rows(tmp_path) == before
    begun(MetricsCSV(tmp_path, first_step=4, last_row={"loss": 0.5}))
    assert rows(tmp_path) == [*before, {"loss": "0.5", "step": "3"}]


def test_half_a_line_is_forgotten(tmp_path: Path) -> None:
    before = written(tmp_path)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("0.5,,1")
    MetricsCSV(tmp_path, first_step=9).log_metrics({"loss": 0.5}, 9)
    assert rows(tmp_path) == [*before, {"loss": "0.5", "step": "9"}]


def test_a_run_from_the_beginning_forgets_all(tmp_path: Path) -> None:
    written(tmp_path)
    MetricsCSV(tmp_path).log_metrics({"loss": 9.0}, 0)
    assert rows(tmp_path) == [{"loss": "9.0", "step": "0"}]
