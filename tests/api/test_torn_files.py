"""A run that goes on is shown, whatever is half written at that moment."""

from pathlib import Path

import pytest

from lightning_posenc.api import RunResult


@pytest.mark.parametrize(
    ("metrics", "steps"),
    [
        (b"step,train/loss\n1,2.5\n2,1.5\n3,\xff", [1, 2, 3]),
        (b"step,train/loss\n1,2.5\n2,1.5,7,8\n", [1]),
        (b"step,train/loss\n1,abc\n", [1]),
        (b"step,tr", []),
        (b"", []),
        (None, []),
    ],
)
def test_a_run_is_shown_while_its_files_are_written(
    tmp_path: Path, metrics: bytes | None, steps: list[int]
) -> None:
    (tmp_path / "config.yaml").write_text("seed_everything: 0\n")
    (tmp_path / "summary.json").write_text('{"status": "running", "metrics": {}}')
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "attention.png").write_bytes(b"\x89PNG\r\n")
    if metrics is not None:
        (tmp_path / "metrics.csv").write_bytes(metrics)
    run = RunResult(tmp_path)
    assert [*run.history.get("step", [])] == steps
    assert "attention" not in run.figures
    assert run._repr_html_().startswith("<h4>A run</h4>")
