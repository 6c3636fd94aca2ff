"""A run's own page: curves, verdicts, pictures, and nothing of a stranger's that is obeyed."""

import json
import re
from pathlib import Path

import pytest

from lightning_posenc.cli import main
from lightning_posenc.diagnose.ailments import base, depth, signal
from lightning_posenc.pages.curves import Points, chart, number, ticks
from lightning_posenc.pages.history import MOST, RunHistory
from lightning_posenc.pages.run_page import MOST_BYTES, write_run_page
from lightning_posenc.pages.watched import remarks
from lightning_posenc.runs.png import data_uri
from tests.report.made_runs import class_of, config, write

EVIL = "<script>alert(1)</script>"
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 100


@pytest.fixture
def run(tmp_path: Path) -> Path:
    made = config(class_of("positional", "RoPE"), class_of("tasks", EVIL), 0, lengths=(20,))
    errors = {"standard_errors": {"test/acc/len_20": 0.01}}
    run = write(tmp_path / "family" / "id", made, {20: 0.5}, error=EVIL, command=[EVIL], **errors)
    (run / "figures").mkdir()
    (run / "figures" / "accuracy.png").write_bytes(PNG)
    (run / "figures" / "position_probe.png").write_bytes(PNG)
    return run


def page(run: Path) -> str:
    path = write_run_page(run)
    assert path is not None
    return path.read_text("utf-8")


def test_what_the_page_shows(run: Path) -> None:
    text = page(run)
    assert "family/id" in text
    assert "TokenClassifier with RoPE" in text
    assert "0.5000 ± 0.020" in text
    for title in ("Loss", "Scores"):
        assert f"<figcaption>{title}</figcaption>" in text
    assert "n_layers: 4" in text  # the config
    alternatives = re.findall(r'<img src="[^"]+" alt="([^"]*)"', text)
    assert len(alternatives) == 2
    assert all(len(each.split()) > 3 for each in alternatives)
    assert re.search(r'<svg [^>]*aria-label="Loss: train/loss from 1\.\d+ to \d', text)
    assert "@media (prefers-color-scheme: dark)" in text
    assert data_uri(PNG) in text


def test_a_strangers_words_are_words(run: Path) -> None:
    metrics = (run / "metrics.csv").read_text().splitlines()
    metrics[0] = metrics[0].replace("train/loss", f"train/{EVIL}loss")
    (run / "metrics.csv").write_text("\n".join(metrics))
    (run / "figures" / f"{EVIL.replace('/', '')}.png").write_bytes(PNG)
    (run / "diagnosis.html").write_text("")
    (run / "diagnosis.json").write_text(json.dumps({"verdict": EVIL, "line": EVIL}))
    text = page(run)
    assert "<script" not in text
    assert text.count("&lt;script") >= 5


def test_large_pictures_are_linked(run: Path) -> None:
    (run / "figures" / "attention.png").write_bytes(b"0" * (MOST_BYTES + 1))
    text = page(run)
    assert 'src="figures/attention.png"' in text
    assert len(text) < MOST_BYTES


def test_what_the_doctor_said_is_repeated(run: Path) -> None:
    (run / "diagnosis.html").write_text("")
    assert 'href="diagnosis.html"' in page(run)
    said = {"verdict": "ill", "line": "Ill: rank collapse.", "cause": "The cause is 8."}
    (run / "diagnosis.json").write_text(json.dumps(said))
    assert "Ill: rank collapse." in page(run)


@pytest.mark.parametrize(
    "summary", ["", "[]", "{", '{"metrics": [1], "versions": 3, "command": 7}']
)
def test_a_strange_directory_stops_nothing(tmp_path: Path, summary: str) -> None:
    (tmp_path / "summary.json").write_text(summary)
    (tmp_path / "metrics.csv").write_bytes(b"\xff\x00,step\n1,2,3,4\n")
    (tmp_path / "config.yaml").write_text("model: [1]")
    written = write_run_page(tmp_path)
    assert (written is None) == (summary in ("", "[]", "{"))
    assert write_run_page(tmp_path / "nowhere") is None


def test_verdicts_are_the_doctors() -> None:
    collapsed = {f"rank/residual/layer_{i:02d}": x for i, x in enumerate((0.9, 0.04, 0.01))}
    assert [each.verdict for each in remarks({}, collapsed)] == ["ill"]
    collapsed["rank/residual/layer_01"] = 0.1
    assert [each.verdict for each in remarks({}, collapsed)] == ["watch"]
    collapsed["rank/residual/layer_01"] = 0.5  # the last is read by nobody
    assert [each.verdict for each in remarks({}, collapsed)] == ["fine"]
    scores = {"test/acc/len_8": 0.3, "test/acc_without_order/len_8": 0.25, "order/shuffled": 0.9}
    assert [each.verdict for each in remarks(scores, {})] == ["ill", "fine"]
    scores["test/acc/len_8"] = 0.9
    scores["order/shuffled"] = 0.01
    assert [each.verdict for each in remarks(scores, {})] == ["ill", "fine"]
    assert remarks({}, {}) == []
    assert (depth.RANK_ILL, signal.ORDER_ILL, base.AT_BOUND) == (0.05, 0.05, 0.15)


def test_a_long_run_keeps_what_lasts(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    lines = [f"{i},{1.0 if i < 5000 else 3.0}" for i in range(10_000)]
    path.write_text("\n".join(["step,val/loss", *lines, "x,1", "7,"]) + "\n")
    points = RunHistory(path).curves["val/loss"]
    assert len(points.x) <= MOST
    assert points.x[-1] == 9999
    assert {points.y[0], points.y[-1]} == {1.0, 3.0}
    assert sum(points.y) / len(points.y) == pytest.approx(2, abs=0.02)


def test_ticks_are_round_and_around() -> None:
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(3, 97) == [0, 20, 40, 60, 80, 100]
    assert ticks(5, 5) == [5]
    for low, high in ((-3e-7, 4e-7), (0.69, 1.41), (1e5, 9e8)):
        found = ticks(low, high)
        assert found[0] <= low < high <= found[-1]
        assert 3 <= len(found) <= 8
    assert [number(x) for x in (0.0, 1234.5, 3e-5, 2e7, 123456)] == [
        "0", "1,234", "3e-5", "2e7", "123,456",
    ]  # fmt: skip


def test_numbers_that_are_none_are_left_out() -> None:
    drawn = chart("x", "step", {"a": Points([0, 1, 2], [1.0, float("nan"), 3.0])})
    assert "nan" not in drawn
    assert drawn.count("<circle") == 2
    assert chart("x", "step", {"a": Points([0], [float("inf")])}) == ""
    assert "<svg" in chart("x", "step", {"a": Points([0], [1.0])})


@pytest.mark.slow
def test_fit_and_the_doctor_write_it(tmp_path: Path) -> None:
    run = tmp_path / "r"
    quick = ["--data.steps_per_epoch=4", "--trainer.max_epochs=2", "--data.eval_samples=32"]
    quick += ["--trainer.log_every_n_steps=1", f"--run_dir={run}"]
    assert main(["fit", "--config", "quickstart", *quick]) == 0
    text = (run / "run.html").read_text("utf-8")
    assert "<figcaption>Learning rate</figcaption>" in text
    assert "diagnosis.html" not in text
    assert main(["diagnose", "--ckpt_path", str(run), "--cause_seconds", "0"]) == 0
    said = json.loads((run / "diagnosis.json").read_text())
    assert said["line"] in (run / "run.html").read_text("utf-8").replace("&#39;", "'")
    assert len(said["findings"]) > 10
