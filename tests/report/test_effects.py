"""Effect sizes against simulation and scipy's noncentral t; tuning and its fairness."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from lightning_posenc.cli import main
from lightning_posenc.report.effects import effect
from lightning_posenc.report.fairness import best_of
from lightning_posenc.report.metrics import Criterion
from lightning_posenc.report.runs import Run, find
from lightning_posenc.report.statistics import paired
from tests.report.made_runs import class_of, config, write

TASK = class_of("tasks", "Reverse", n_symbols=16)
LOSS = Criterion("val/loss", False)


def test_the_interval_is_that_of_the_noncentral_t() -> None:
    differences = [0.02, 0.05, 0.03, 0.06, 0.01]
    found = effect(differences)
    assert found is not None
    n = len(differences)
    t = stats.ttest_1samp(differences, 0).statistic
    j = 1 - 3 / (4 * (n - 1) - 1)  # Hedges' own approximation of the correction
    assert found.d == pytest.approx(j * t / math.sqrt(n), rel=5e-3)
    for end, p in ((found.low, 0.975), (found.high, 0.025)):
        nc = end / (found.d / (t / math.sqrt(n))) * math.sqrt(n)
        assert stats.nct.cdf(t, n - 1, nc) == pytest.approx(p, abs=1e-5)


def test_it_is_unbiased_and_covers() -> None:
    """True d of 1, five pairs, 3000 times: the mean is 1, and 95 of 100 intervals hold it."""
    draws = np.random.default_rng(0).normal(1.0, 1.0, (3000, 5))
    found = [effect(row.tolist()) for row in draws]
    ds = np.array([each.d for each in found if each is not None])
    assert len(ds) == 3000
    assert ds.mean() == pytest.approx(1.0, abs=0.03)
    naive = draws.mean(1) / draws.std(1, ddof=1)
    assert naive.mean() > 1.15  # without the correction
    j = ds[0] / naive[0]
    held = sum(each.low <= j * 1.0 <= each.high for each in found if each is not None)
    assert held / 3000 == pytest.approx(0.95, abs=0.015)


def test_what_has_no_effect_size() -> None:
    assert effect([0.1]) is None
    assert effect([0.5, 0.5, 0.5]) is None  # ties
    assert effect([0.0, 0.0]) is None
    two = paired({0: 0.5, 1: 0.6}, {0: 0.4, 1: 0.4})
    assert (two.p, two.effect) == (None, None)  # what is not tested
    assert paired({0: 1.0, 1: 2.0, 2: 4.0}, {0: 0.0, 1: 0.5, 2: 1.0}).effect is not None


def swept(root: Path, losses: dict[tuple[str, float, int], float]) -> list[Run]:
    """Runs of an encoding, a rate and a seed, whose val/loss is given."""
    for (name, lr, seed), loss in losses.items():
        made = config(class_of("positional", name), TASK, seed, lr=lr, lengths=(20,))
        metrics = {"test/acc/len_20": 1 - loss / 2, "val/loss": loss, "val/acc": 1 - loss / 2}
        write(root / f"{name}-{lr}-{seed}", made, {20: 0.5}, metrics=metrics, diagnostics=False)
    return find([root])


LOSSES = {
    **{("RoPE", lr, s): loss + 0.01 * s
       for lr, loss in ((0.001, 0.5), (0.003, 0.2), (0.01, 0.9)) for s in range(3)},
    **{("NoPE", lr, s): loss + 0.01 * s
       for lr, loss in ((0.001, 0.9), (0.003, 0.8), (0.01, 0.7)) for s in range(3)},
    ("RoPE", 0.001, 0): 0.001,  # one lucky seed
}  # fmt: skip


def test_every_row_at_its_best_rate(tmp_path: Path) -> None:
    runs = swept(tmp_path, LOSSES)
    placed = [((str(r.keys["model.positional"]), "x", r.keys["seed"]), r) for r in runs]
    tuned = best_of(placed, "model.optimizer.lr", LOSS)
    assert {(p[0], r.keys["model.optimizer.lr"]) for p, r in tuned.placed} == {
        ("RoPE", 0.003), ("NoPE", 0.01),
    }  # fmt: skip
    assert len(tuned.placed) == 6
    assert "Of model.optimizer.lr (0.001, 0.003, 0.01)" in tuned.said
    assert "NoPE 0.01; RoPE 0.003" in tuned.said
    assert tuned.notices == [
        "the best model.optimizer.lr is the last that was tried, a further one may be better: "
        "NoPE at 0.01"
    ]
    by_test = best_of(placed, "model.optimizer.lr", Criterion("test/acc/len_20", True))
    assert "too good by that choice" in by_test.notices[0]
    fewer = [each for each in placed if each[1].name != "NoPE-0.01-2"]
    assert {r.keys["model.optimizer.lr"] for p, r in best_of(fewer, "model.optimizer.lr", LOSS)[0]
            if p[0] == "NoPE"} == {0.003}  # fmt: skip
    none = [each for each in placed if not each[1].name.startswith("NoPE-0.001")]
    assert "not tried at the same values" in best_of(none, "model.optimizer.lr", LOSS).notices[0]


def test_best_of_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    swept(tmp_path, LOSSES)
    assert main(["report", str(tmp_path)]) == 2
    assert "--best_of model.optimizer.lr" in capsys.readouterr().err
    assert main(["report", str(tmp_path), "--best_of", "model.optimizer.init_args.lr"]) == 0
    page = (tmp_path / "report.md").read_text()
    assert "6 finished runs, 3 seeds" in page
    assert "6 runs of 18 that were trained, 3 seeds" in page
    assert "0.18 hours of training in all" in page  # 18 runs of 36 seconds
    assert "with the highest mean val/acc over its seeds: NoPE 0.01; RoPE 0.003" in page
    assert "effect size d_z" in page
    capsys.readouterr()
    assert main(["report", str(tmp_path), "--best_of=data.seed", "--filter=seed=0",
                 "--filter=model.optimizer.lr=0.003"]) == 2  # fmt: skip
    assert "no row was tried at two values" in capsys.readouterr().err
    assert main(["report", str(tmp_path), "--best_of=lr"]) == 2
    assert "did you mean model.optimizer.lr" in capsys.readouterr().err
