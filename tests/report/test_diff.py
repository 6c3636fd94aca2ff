"""`report --diff`: exactly the keys that differ, numbers with intervals, pictures side by side."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import binomtest

from lightning_posenc.cli import main
from lightning_posenc.report.diff.configs import ABSENT, differences
from lightning_posenc.report.diff.sides import interval, ratio, sides
from lightning_posenc.report.intervals import ScoreInterval, difference, of_share
from lightning_posenc.report.keys import flatten
from lightning_posenc.report.runs import find
from tests.report.made_runs import class_of, config, write

TASK = class_of("tasks", "Reverse", n_symbols=16)
ROPE = class_of("positional", "RoPE", base=10000.0, scaling=None)
ACC = {20: 0.9, 40: 0.6}


def named(first: dict[str, Any], second: dict[str, Any]) -> dict[str, tuple[str, str]]:
    found = differences(flatten(first), flatten(second))
    return {each.key: (each.first, each.second) for each in found}


def test_exactly_the_keys_that_differ() -> None:
    first = config(ROPE, TASK, 0)
    assert named(first, config(ROPE, TASK, 0)) == {}
    second = config(class_of("positional", "ALiBi"), TASK, 1, lr=0.01)
    assert named(first, second) == {
        "model.optimizer.lr": ("0.003", "0.01"),
        "model.positional": ("RoPE", "ALiBi"),
        "model.positional.base": ("10000.0", ABSENT),
        "model.positional.scaling": ("null", ABSENT),
        "seed_everything": ("0", "1"),
    }


def test_keys_that_look_alike_and_are_not() -> None:
    mine = {"class_path": "mine.RoPE", "init_args": dict(ROPE["init_args"])}
    assert named({"m": ROPE}, {"m": mine}) == {
        "m": ("lightning_posenc.positional.RoPE", "mine.RoPE")
    }
    assert named({"k": True}, {"k": 1}) == {"k": ("true", "1")}
    assert named({"path": "a/x.txt"}, {"path": "b/x.txt"}) == {"path": ("a/x.txt", "b/x.txt")}
    assert named({"k": [1, 2]}, {"k": [1, 3]}) == {"k": ("[1, 2]", "[1, 3]")}
    assert named({"k": None, "l": 0}, {"l": 0}) == {"k": ("null", ABSENT)}
    assert named({"k": math.nan}, {"k": math.nan}) == {}


@pytest.mark.parametrize(("right", "n"), [(0, 7), (37, 100), (256, 256), (1, 2048)])
def test_wilsons_interval_is_scipys(right: int, n: int) -> None:
    share = right / n
    expected = binomtest(right, n).proportion_ci(method="wilson")
    found = of_share(share, math.sqrt(share * (1 - share) / n), n)
    assert found[1:] == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_answers_of_one_sequence_count_less() -> None:
    """Each answer four times over is no more evidence."""
    right = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0]
    value, error = ratio([4 * r for r in right], [4.0] * 6)
    assert (value, error) == pytest.approx(ratio(right, [1.0] * 6))
    assert error == pytest.approx(torch.tensor(right).std().item() / math.sqrt(6))


def test_a_difference_covers_what_it_says() -> None:
    """Of 2000 pairs of equal shares, the interval holds 0 in at least 93 of 100."""
    generator = torch.Generator().manual_seed(0)
    held = 0
    for _ in range(2000):
        both = []
        for _ in range(2):
            share = float((torch.rand(60, generator=generator) < 0.9).double().mean())
            both.append(of_share(share, math.sqrt(share * (1 - share) / 60), 60))
        d = difference(*both)
        assert d.low is not None
        assert d.high is not None
        held += d.low <= 0 <= d.high
    assert 0.93 < held / 2000 < 0.985
    assert difference(ScoreInterval(0.5), both[0]).low is None


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    errors = {"standard_errors": {f"test/acc/len_{n}": 0.01 for n in ACC},
              "test_sequences": {f"test/len_{n}": 1000 for n in ACC}}  # fmt: skip
    made = [
        write(tmp_path / name, config(positional, TASK, 0, lengths=(20, 40)), acc, **errors)
        for name, positional, acc in (
            ("a", ROPE, ACC),
            ("b", class_of("positional", "<script>alert(1)</script>"), {20: 0.95, 40: 0.6}),
        )
    ]
    return made[0], made[1]


def test_the_page(two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--diff", *map(str, two)]) == 0
    out = two[0].parent
    html = (out / "diff.html").read_text("utf-8")
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    for key in ("model.positional", "model.positional.base", "model.positional.scaling"):
        assert f'<th scope="row">{key}</th>' in html
    assert '<th scope="row">model.positional.layout' not in html
    assert '<th scope="row">seed' not in html
    assert re.search(r"\+0\.05 \[\+0\.02\d+, \+0\.07\d+\] <span class=\"up\">▲", html)
    assert "Error of a probe of position" in html
    assert "Entropy of attention" in html
    assert all(re.findall(r'<img src="data:image/png;base64,[^"]+" alt="([^"]*)"', html))
    for picture in re.findall(r"!\[[^]]+\]\(([^)]+)\)", (out / "diff.md").read_text("utf-8")):
        assert (out / picture).is_file()
    assert "model.positional.base" in capsys.readouterr().out


def test_an_interval_needs_a_standard_error(two: tuple[Path, Path]) -> None:
    run = find([two[0]])[0]
    known = interval(run, "test/acc/len_20")
    assert known is not None
    assert known.low == pytest.approx(0.8787, abs=1e-3)
    assert interval(run, "val/acc") == ScoreInterval(run.metrics["val/acc"])
    assert interval(run, "test/f1/len_20") is None


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("a", "a"), "both are the same"),
        (("a", "none"), "does not exist"),
        (("a", "."), "not a run directory"),
        (("a", "a/config.yaml"), "one is a file"),
    ],
)
def test_mistakes_of_a_diff(
    two: tuple[Path, Path], names: tuple[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--diff", *(str(two[0].parent / name) for name in names)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


def test_runs_and_a_diff_are_two_things(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "x", "--diff", "a", "b"]) == 2
    assert "name RUNS, --diff A B or --explore" in capsys.readouterr().err


@pytest.mark.slow
def test_checkpoints_are_measured_anew(tmp_path: Path) -> None:
    """Two checkpoints of one run: the same questions, so that scores are pairs."""
    run = tmp_path / "run"
    quick = ["--data.steps_per_epoch=4", "--trainer.max_epochs=2", "--data.eval_samples=64"]
    quick += ["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.save_top_k=-1",
              "--trainer.log_every_n_steps=2"]  # fmt: skip
    assert main(["fit", "--config", "quickstart", f"--run_dir={run}", *quick]) == 0
    both = sorted((run / "checkpoints").glob("epoch*.ckpt"))
    found = sides(both[0], both[1])
    assert differences(found.first.keys, found.second.keys) == []
    assert (found.first.summary["steps"], found.second.summary["steps"]) == (4, 8)
    key = "test/acc/len_32"
    d = found.second.metrics[key] - found.first.metrics[key]
    assert found.paired[key].value == pytest.approx(d)
    assert found.paired["test/loss/len_32"].known
    assert "probe/mae/layer_02" in found.first.history
    assert "attn/entropy/layer_01/head_3" in found.first.history
    assert main(["report", "--diff", *map(str, both[:2]), f"--out={tmp_path}"]) == 0
    assert "Nothing: the configs are the same" in (tmp_path / "diff.html").read_text("utf-8")
