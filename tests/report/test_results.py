"""What is compared, what is significant, what it cost."""

import json
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from lightning_posenc.report import (
    findings,
    grouping,
    lengths,
    metrics,
    page,
    panels,
    recipes,
    runs,
)
from lightning_posenc.report.arranging import arrange
from lightning_posenc.report.costs import COLUMNS, costs
from lightning_posenc.report.methods import methods
from lightning_posenc.report.results import compare
from lightning_posenc.report.selection import matching
from lightning_posenc.report.statistics import holm
from lightning_posenc.report.study import Study
from tests.report.conftest import ENCODINGS, TRAINED_ACC, accuracies
from tests.report.made_runs import class_of, config, write

REVERSE = class_of("tasks", "Reverse", n_symbols=16)


def study_of(
    directory: Path,
    by: tuple[grouping.Alternatives, ...] = grouping.ROWS,
    metric: str | None = None,
    baseline: str | None = None,
    select: str | None = None,
    filters: tuple[str, ...] = (),
) -> Study:
    found = matching(runs.find([directory]), filters) if filters else runs.find([directory])
    whole = [run for run in found if run.status == "finished"]
    others = [run for run in found if run.status != "finished"]
    chosen = metrics.choose(whole, metric, None)
    selected = metrics.choose(whole, select, None) if select else None
    return arrange(whole, others, by, grouping.COLUMNS, chosen, baseline, "seed", selected)


def write_rows(root: Path, rows: dict[str, tuple[float, ...]], **more: Any) -> Path:
    for name, values in rows.items():
        for seed, value in enumerate(values):
            made = config(class_of("positional", name), REVERSE, seed, **more)
            write(root / f"{name}-{seed}", made, {20: value})
    return root


def test_the_table(study_directory: Path) -> None:
    study = study_of(study_directory)
    assert study.rows == ["NoPE", "ALiBi", "RoPE"]  # the baseline first
    assert study.columns == ["Copy", "Reverse"]
    assert study.metric == ("test/acc/len_trained", True)
    assert [run.name for run in study.left_out] == ["100-failed", "101-killed"]
    results = compare(study)
    cell = results.cells["RoPE", "Copy"]
    values = TRAINED_ACC["RoPE"]
    assert cell.mean == pytest.approx(sum(values) / 3)
    assert cell.half == pytest.approx(stats.t.ppf(0.975, 2) * stats.sem(values))
    p = {
        (column, row): stats.ttest_rel(TRAINED_ACC[row], TRAINED_ACC[base]).pvalue
        for column in study.columns
        for row, base in (("ALiBi", "NoPE"), ("RoPE", "NoPE"), ("best", "ALiBi"))
        if row != "best"
    }
    for column in study.columns:  # RoPE is the best, ALiBi the second
        p[column, "best"] = stats.ttest_rel(TRAINED_ACC["RoPE"], TRAINED_ACC["ALiBi"]).pvalue
    corrected = holm(p)
    for each in results.comparisons:
        key = (each.column, "best" if each.second == "ALiBi" else each.first)
        assert each.p == pytest.approx(corrected[key])
    assert len(results.comparisons) == 6
    assert results.bold("RoPE", "Copy")
    assert not results.bold("ALiBi", "Copy")
    assert results.against_baseline("ALiBi", "Copy", "NoPE") == 1


def test_the_best_is_not_bold_unless_it_is_significantly_better(tmp_path: Path) -> None:
    rows = {"NoPE": (0.2, 0.21, 0.19), "A": (0.9, 0.5, 0.8), "B": (0.85, 0.7, 0.4)}
    results = compare(study_of(write_rows(tmp_path, rows)))
    leader = results.leaders["Reverse"]
    assert (leader.best, leader.second) == ("A", "B")
    assert leader.comparison is not None
    assert not leader.comparison.significant
    assert not results.bold("A", "Reverse")


def test_correction_takes_significance_away(tmp_path: Path) -> None:
    """Alone the best would be significant; with the table's other tests it is not."""
    top = {"NoPE": (0.50, 0.51, 0.50), "A": (0.90, 0.86, 0.88)}
    close = {"B": (0.83, 0.77, 0.82)}
    noise = {f"N{i}": (0.50, 0.50 + 0.01 * i, 0.51) for i in range(6)}
    results = compare(study_of(write_rows(tmp_path, top | close | noise)))
    comparison = results.leaders["Reverse"].comparison
    assert comparison is not None
    assert comparison.found.p is not None
    assert comparison.found.p < 0.05 < (comparison.p or 0)
    assert not results.bold("A", "Reverse")


def test_the_direction_is_that_of_the_pairs(tmp_path: Path) -> None:
    """C1: the better mean is of seeds that the other row has not; where both have run, it loses."""
    rows = {
        "ALiBi": (0.60, 0.613, 0.622),
        "RoPE": (0.50, 0.512, 0.523, 0.99, 0.985),
        "NoPE": (0.1, 0.12, 0.11),
    }
    study = study_of(write_rows(tmp_path, rows))
    results = compare(study)
    leader = results.leaders["Reverse"]
    assert (leader.best, leader.second) == ("RoPE", "ALiBi")
    comparison = leader.comparison
    assert comparison is not None
    assert comparison.significant
    assert comparison.winner(higher=True) == "ALiBi"
    assert not any(results.bold(row, "Reverse") for row in study.rows)
    line = findings.glance(study, results)["Reverse"]
    assert "RoPE 0.702 ± 0.324 has a better mean than ALiBi" in line
    assert "but of other seeds: ALiBi is better by 0.1" in line
    assert "best" not in line
    # Nor does a mark contradict the means that stand in the table.
    against = compare(study_of(tmp_path, baseline="ALiBi"))
    assert against.against_baseline("RoPE", "Reverse", "ALiBi") == 0
    assert against.against_baseline("NoPE", "Reverse", "ALiBi") == -1


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), "are level: not tested"),
        ((0.50, 0.54, 0.52), (0.53, 0.50, 0.52), "do not differ significantly (by"),
        ((0.5, 0.6), (0.4, 0.6), "has a better mean than"),
    ],
)
def test_nobody_leads_where_nothing_differs(
    first: tuple[float, ...], second: tuple[float, ...], said: str, tmp_path: Path
) -> None:
    study = study_of(write_rows(tmp_path, {"NoPE": first, "A": second}))
    line = findings.glance(study, compare(study))["Reverse"]
    assert said in line
    assert "lead" not in line


def test_two_seeds_and_ties_are_said_not_to_be_tested(tmp_path: Path) -> None:
    """C2: two seeds, both better by one sample of 256."""
    rows = {"NoPE": (0.5, 0.6), "A": (0.5 + 1 / 256, 0.6 + 1 / 256)}
    study = study_of(write_rows(tmp_path, rows))
    results = compare(study)
    assert not results.bold("A", "Reverse")
    assert "not tested (2 common seeds, 3 are needed)" in findings.glance(study, results)["Reverse"]
    section = findings.results_section(study, results)
    assert "a test needs 3 seeds" in section.caption
    assert section.folded is not None
    assert "2 common seeds, 3 are needed" in [cell.text for cell in section.folded.rows[0]]


def test_lower_is_better_for_a_loss(study_directory: Path) -> None:
    study = study_of(study_directory, metric="val/loss")
    results = compare(study)
    assert not study.metric.higher
    assert results.leaders["Copy"].best == min(
        study.rows, key=lambda row: results.cells[row, "Copy"].mean
    )
    assert results.against_baseline("ALiBi", "Copy", "NoPE") == 1


def test_the_best_against_the_baseline_is_one_test(tmp_path: Path) -> None:
    rows = {"NoPE": (0.5, 0.52, 0.48), "A": (0.9, 0.93, 0.88)}
    results = compare(study_of(write_rows(tmp_path, rows)))
    (only,) = results.comparisons
    assert only.p == only.found.p
    assert results.bold("A", "Reverse")


def test_one_seed_is_not_tested(tmp_path: Path) -> None:
    results = compare(study_of(write_rows(tmp_path, {"NoPE": (0.1,), "A": (0.9,)})))
    assert results.cells["A", "Reverse"].half is None
    assert [each.p for each in results.comparisons] == [None]
    assert not results.bold("A", "Reverse")


def test_a_run_that_diverged_is_left_out(tmp_path: Path) -> None:
    """G3: its accuracy is a number all the same, and counted as a result."""
    write_rows(tmp_path, {"NoPE": (0.1, 0.9, 0.3)})
    summary = json.loads((tmp_path / "NoPE-1" / "summary.json").read_text())
    summary["metrics"]["val/loss"] = None
    (tmp_path / "NoPE-1" / "summary.json").write_text(json.dumps(summary))
    study = study_of(tmp_path)
    assert compare(study).cells["NoPE", "Reverse"] == pytest.approx((0.2, 1.2706, 2), rel=1e-3)
    assert [(run.name, run.status) for run in study.left_out] == [("NoPE-1", "diverged")]
    assert study.left_out[0].why == "val/loss ended as no finite number"


def test_a_number_that_is_none_is_said_and_not_averaged(tmp_path: Path) -> None:
    write_rows(tmp_path, {"NoPE": (0.1, 0.2, 0.3)})
    summary = json.loads((tmp_path / "NoPE-1" / "summary.json").read_text())
    summary["metrics"]["test/acc/len_20"] = None
    (tmp_path / "NoPE-1" / "summary.json").write_text(json.dumps(summary))
    study = study_of(tmp_path)
    assert compare(study).cells["NoPE", "Reverse"] == pytest.approx((0.2, 1.2706, 2), rel=1e-3)
    assert any("no finite number in NoPE-1" in notice for notice in study.notices)


def test_baseline(study_directory: Path, tmp_path: Path) -> None:
    assert study_of(study_directory, baseline="RoPE").baseline == "RoPE"
    assert study_of(write_rows(tmp_path, {"B": (0.1,), "A": (0.2,)})).baseline == "A"
    with pytest.raises(
        ValueError, match="--baseline Rope: no row has that name: did you mean RoPE"
    ):
        study_of(study_directory, baseline="Rope")


def test_metrics_that_fit_every_run(study_directory: Path) -> None:
    (run, *_) = study_of(study_directory).at("RoPE", "Copy")
    scores = accuracies("RoPE", 0)

    def value(key: str) -> tuple[float, str] | None:
        return metrics.Criterion(key, True).of(run)

    assert value("test/acc/len_trained") == (scores[20], "20")
    assert value("test/acc/len_longest") == (pytest.approx(scores[40]), "40")
    beyond = value("test/acc/len_beyond")
    assert beyond == (pytest.approx((scores[30] + scores[40]) / 2), "30, 40")
    assert value("test/acc/len_30") == (pytest.approx(scores[30]), "test/acc/len_30")
    assert value("test/acc/len_31") is None


def test_a_metric_that_only_torchmetrics_knows(tmp_path: Path) -> None:
    """Runs say of such a metric whether more is better; else a person is asked."""
    made = config(class_of("positional", "NoPE"), REVERSE, 0)
    told = {"higher_is_better": {"mine": False, "odd": "yes"}}
    write(tmp_path / "1", made, {20: 0.5}, metrics={"val/mine": 0.3, "val/odd": 0.1}, **told)
    found = runs.find([tmp_path])
    assert metrics.choose(found, "val/mine", None).higher is False
    assert metrics.choose(found, "val/mine", "max").higher is True
    with pytest.raises(ValueError, match="its name does not say what is better: say --goal max"):
        metrics.choose(found, "val/odd", None)


def test_duplicates_with_the_same_config_count_once(tmp_path: Path) -> None:
    write_rows(tmp_path / "1", {"NoPE": (0.1, 0.2)})
    write_rows(tmp_path / "2", {"NoPE": (0.3,)})
    study = study_of(tmp_path)
    assert [run.name for run in study.runs] == ["2/NoPE-0", "1/NoPE-1"]
    assert any("1/NoPE-0: the same config and seed as 2/NoPE-0" in n for n in study.notices)


def test_a_later_test_does_not_stand_for_its_run(tmp_path: Path) -> None:
    made = config(class_of("positional", "NoPE"), REVERSE, 0)
    write(tmp_path / "1", made, {20: 0.5}, command=["fit"])
    write(tmp_path / "2", made, {20: 0.5}, command=["test"])
    assert [run.name for run in study_of(tmp_path).runs] == ["1"]


def test_duplicates_that_differ_are_refused_or_selected(tmp_path: Path) -> None:
    write_rows(tmp_path / "1", {"NoPE": (0.1, 0.2)})
    write_rows(tmp_path / "2", {"NoPE": (0.3, 0.1)}, lr=0.1)
    message = r"1/NoPE-0 and 1 more are all NoPE, Reverse, seed 0, but differ in model.optimizer.lr"
    with pytest.raises(ValueError, match=message):
        study_of(tmp_path)
    selected = study_of(tmp_path, select="val/loss")
    assert [run.name for run in selected.runs] == ["2/NoPE-0", "1/NoPE-1"]
    assert any("2 of 4 (--select)" in notice for notice in selected.notices)
    assert any("differ in more than their seed: model.optimizer.lr" in n for n in selected.notices)
    apart = study_of(tmp_path, by=(("model.positional",), ("model.optimizer.lr",)))
    assert apart.rows == ["NoPE, lr=0.003", "NoPE, lr=0.1"]


def test_filters(study_directory: Path) -> None:
    one = study_of(study_directory, filters=("data.task=Copy", "seed=1"))
    assert {(*one.columns, *one.seed_of.values())} == {("Copy", "1", "1", "1")}
    some = study_of(study_directory, filters=("model.positional=RoPE", "model.positional=NoPE"))
    assert some.rows == ["NoPE", "RoPE"]
    assert len(some.runs) == 12
    path = ("model.init_args.positional.class_path=RoPE",)
    assert study_of(study_directory, filters=path).rows == ["RoPE"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("model.positional", "not KEY=VALUE"),
        ("model.positionl=RoPE", "no run has that key: did you mean model.positional"),
        ("model.positional=RoPEE", "no run has it: did you mean RoPE"),
    ],
)
def test_bad_filters(study_directory: Path, given: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"--filter {given.split('=')[0]}.*: {said}"):
        study_of(study_directory, filters=(given,))


def test_effective_lengths(study_directory: Path) -> None:
    study = study_of(study_directory)
    found = lengths.reaches(study, study.metric)
    # RoPE falls by .02 a token from .95: below .9 x .95 at 30, so 20 is the last.
    assert str(found["RoPE", "Copy"]) == "20"
    assert str(found["ALiBi", "Copy"]) == "≥ 40"
    assert str(lengths.LengthsReached([0, 20, 40], 40)) == "20 (none to ≥ 40)"
    assert lengths.reaches(study, study.metric._replace(higher=False)) == {}


def test_sizes_of_images(tmp_path: Path) -> None:
    """The trained size is the config's image_size, and the run says what its lengths are."""
    for seed, (at_12, axis) in enumerate([(0.84, "size in pixels"), (0.6, "size in pixels")]):
        made = config(class_of("positional", "MixedRoPE"), REVERSE, seed)
        made["data"] = class_of("data", "ImageData", path="digits", image_size=8)
        acc = {8: 0.9, 12: at_12, 16: 0.3}
        write(tmp_path / "images" / str(seed), made, acc, length_axis=axis)
    study = study_of(tmp_path / "images")
    found = lengths.reaches(study, study.metric)
    assert [str(each) for each in found.values()] == ["8 (8 to 12)"]
    (panel,) = panels.by_test_length(study, "acc")
    assert (panel.x, panel.trained) == ("test size in pixels", (8, 8))
    section = page.lengths_section(study, "acc", found, [])
    assert section.title == "acc by size in pixels, effective size in pixels"
    made = config(class_of("positional", "MixedRoPE"), REVERSE, 2)
    write(tmp_path / "images" / "2", made, {8: 0.9, 16: 0.3}, length_axis="<b>\n")
    assert study_of(tmp_path / "images").length_axis == "length"  # not all are of one kind


def test_curves_by_length(study_directory: Path) -> None:
    study = study_of(study_directory)
    copy, reverse = panels.by_test_length(study, "acc")
    assert (copy.title, reverse.title) == ("Copy", "Reverse")
    assert copy.trained == (1, 20)
    band = copy.bands["RoPE"]
    assert band.x == [10, 20, 30, 40]
    assert band.mean[1] == pytest.approx(sum(TRAINED_ACC["RoPE"]) / 3)
    assert (band.low[1], band.high[1]) == (0.931, 0.9702)
    assert band.seeds == 3


def test_learning_curves_end_with_the_shortest_run(tmp_path: Path) -> None:
    write_rows(tmp_path, {"NoPE": (0.5, 0.6)})
    (tmp_path / "NoPE-0" / "metrics.csv").write_text("step,val/acc\n0,0.0\n10,1.0\n10,0.8\n")
    (tmp_path / "NoPE-1" / "metrics.csv").write_text("step,val/acc\n0,0.2\n5,0.4\n20,1.0\n")
    study = study_of(tmp_path)
    assert panels.learning_key(study) == "val/acc"
    (panel,) = panels.learning(study, "val/acc")
    band = panel.bands["NoPE"]
    assert band.x == [0, 5, 10]  # at 20 there is one run only
    assert band.mean == pytest.approx([0.1, 0.4, (0.8 + 0.6) / 2])


def test_diagnostics_by_depth(tmp_path: Path) -> None:
    write_rows(tmp_path, {"NoPE": (0.5, 0.6)})
    header = "step,attn/entropy/layer_00/head_0,attn/entropy/layer_00/head_1,"
    header += "attn/entropy/layer_01/head_0,attn/entropy/layer_01/head_1,"
    header += "pos_grad/layer_10/plane_03,own/layer_00\n"
    (tmp_path / "NoPE-0" / "metrics.csv").write_text(
        header + "0,9,9,9,9,9,9\n100,1.0,3.0,5.0,,0.5,7\n200,,,,,,\n"
    )
    (tmp_path / "NoPE-1" / "metrics.csv").write_text(header + "100,3.0,5.0,7.0,9.0,1.5,7\n")
    found = panels.by_depth(study_of(tmp_path))
    shown = {panel.name: panel.bands["NoPE"] for panel in found["Reverse"]}
    entropy = shown["depth_reverse_attn_entropy"]
    assert entropy.x == [0, 1]
    assert entropy.mean == [3.0, 7.5]  # of (2, 4), and of (mean of 5 and the last 9, 8)
    assert shown["depth_reverse_pos_grad_plane"] == ([10], [1.0], [0.5], [1.5], 2)
    assert "depth_reverse_own" in shown


def test_costs_are_ratios_to_the_baseline(study_directory: Path) -> None:
    found = {quantity.key: rows for quantity, rows in costs(study_of(study_directory)).items()}
    assert set(found) == {column.key for column in COLUMNS}
    step = found["seconds_per_step"]["ALiBi"]
    assert step.value == pytest.approx(1000 * (0.01 + 0.0005 * 5 + 1e-5))  # the median seed is 1
    assert step.ratio == pytest.approx((0.0125 + 1e-5) / (0.012 + 1e-5))
    assert found["parameters"]["NoPE"] == (200_004, 1.0)
    assert found["train_tokens"]["RoPE"].value == 6.0  # millions
    assert found["train_flops"]["RoPE"] == (pytest.approx(3.2), 1.0)
    assert found["train_joules"]["RoPE"].value == pytest.approx(2.0)  # Wh


def test_runs_that_say_nothing_of_cost(tmp_path: Path) -> None:
    unknown = dict.fromkeys(column.key for column in COLUMNS)
    made = config(class_of("positional", "NoPE"), REVERSE, 0)
    write(tmp_path / "old", made, {20: 0.5}, **unknown)
    assert costs(study_of(tmp_path)) == {}


def test_recipes(study_directory: Path) -> None:
    study = study_of(study_directory)
    by_row = {recipe.row: recipe for recipe in recipes.recipes(study, study_directory)}
    assert by_row["RoPE"].differs == {
        "model.positional": "RoPE",
        "model.positional.base": "10000",
        "model.positional.scaling": "null",
    }
    made = by_row["RoPE"].runs[0]
    assert made.command == (
        "python -m lightning_posenc fit --config=c.yaml --model.positional=RoPE --data.task=Copy"
    )
    assert made.about == "Copy, seed 0"
    assert {run.differs for run in by_row["RoPE"].runs} == {""}
    assert "class_path: lightning_posenc.positional.RoPE" in by_row["RoPE"].config


def test_commands(tmp_path: Path) -> None:
    def said(summary: dict[str, Any], trial: dict[str, Any]) -> str:
        run = runs.Run(tmp_path, "r", "finished", summary=summary, trial=trial)
        return recipes.command(run)

    given = ["fit", "--run_dir", "a b", "--model.encoder={d_model: 16}"]
    expected = "python -m lightning_posenc fit '--model.encoder={d_model: 16}'"
    assert said({"command": given}, {}) == expected
    agents = ["/usr/bin/env", "python", "-m", "lightning_posenc", "fit"]
    assert said({"command": None}, {"command": agents}) == " ".join(agents)
    assert "unknown" in said({}, {})
    assert ENCODINGS["RoPE"]["init_args"]["base"] == 10000.0


def test_no_finite_number_is_not_called_one_seed(tmp_path: Path) -> None:
    for seed in (0, 1):
        made = config(class_of("positional", "RoPE"), REVERSE, seed)
        write(tmp_path / str(seed), made, {}, metrics={"test/acc/len_20": None, "val/acc": None})
    study = study_of(tmp_path)
    compared = compare(study)
    for said in (findings.results_section(study, compared).caption, methods(study, compared)):
        assert "no run has a finite number" in said.lower()
        assert "one seed" not in said.lower()
