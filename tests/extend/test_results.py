"""What a table says of records that are known in full."""

import math
import shlex
from argparse import Namespace

import pytest

from lightning_posenc.extend import tables
from lightning_posenc.extend.conclusion import conclusion
from lightning_posenc.extend.contenders import AsItIs, Contender, Finetuned
from lightning_posenc.extend.contents import next_steps
from lightning_posenc.extend.results import (
    ORDER,
    PASSKEY,
    UNCHANGED,
    Losses,
    MethodRow,
    StudyResults,
    take_up,
)
from lightning_posenc.extend.spelled import spelled
from lightning_posenc.extend.tables import BETTER, WORSE
from lightning_posenc.pretrained.evaluating.intervals import Interval
from tests.pretrained.methods.models import tiny

NOISE = [0.3, -0.2, 0.1, -0.4, 0.25, -0.05, 0.0, 0.15]  # of blocks: hard ones and easy ones


def row(name: str, short: float, long: float, jitter: float = 0.0) -> MethodRow:
    """Of losses over the same blocks, higher by so much at a length."""
    moved = [jitter * (-1) ** i for i in range(len(NOISE))]
    losses = {
        n: Losses([3 + level + x + y for x, y in zip(NOISE, moved, strict=True)], 2.5 + level)
        for n, level in ((32, short), (96, long))
    }
    return MethodRow(name, {"a.txt": losses})


def results(*rows: MethodRow) -> StudyResults:
    return StudyResults([row(UNCHANGED, 0, 2), *rows], trained_length=32, lengths=(32, 96), last=8)


def test_differences_are_paired() -> None:
    """A difference of 0.05 is seen, though blocks differ by more than ten times that."""
    study = results(row("pi", 0.05, -0.5, jitter=0.01))
    change = study.change(study.rows[1], 32)
    assert change is not None
    assert change.mean == pytest.approx(0.05)
    assert 0.03 < change.low < 0.05 < change.high < 0.07
    alone = study.rows[1].losses(32)
    assert alone is not None
    assert alone.interval().high - alone.interval().low > 0.2


def test_marks_say_what_the_interval_says() -> None:
    study = results(row("worse", 0.1, 1), row("alike", 0.0, 2, jitter=0.3), row("better", -0.1, 1))
    table = tables.summary(study)
    regression = {r[0].text: r[4] for r in table.rows}
    assert regression["worse"].kind == WORSE
    assert regression["worse"].text == "+0.100 (+0.100 to +0.100)"
    assert regression["alike"].kind == ""
    assert regression["better"].kind == BETTER
    assert regression[UNCHANGED].text == ""
    cells = {r[0].text: str(r[1]) for r in tables.by_length(study).rows}
    assert cells["worse"].endswith("✖")
    assert cells["alike"][-1] not in "✖✔"


def test_two_texts_are_one_table_and_one_each() -> None:
    study = results(row("pi", 0, 1))
    for each in study.rows:
        each.texts["b.txt"] = {n: Losses([1.0] * 8, 1.0) for n in (32, 96)}
    both = study.rows[1].losses(96)
    assert both is not None
    assert len(both.blocks) == 16
    assert both.mean == pytest.approx((4.0 + 0.15 / 8 + 1.0) / 2)
    assert both.last == pytest.approx((3.5 + 1) / 2)
    second = {r[0].text: str(r[2]) for r in tables.by_length(study, "b.txt").rows}
    assert second == {UNCHANGED: "1.000 (1.00–1.00)", "pi": "1.000 (1.00–1.00)"}


def test_a_text_that_is_not_measured_yet_makes_no_mean() -> None:
    study = results(row("pi", 0, 1))
    study.rows[0].texts["b.txt"] = {32: Losses([1.0], 1.0)}
    assert study.rows[0].losses(96) is None
    assert study.rows[0].losses(32) is not None
    assert study.change(study.rows[1], 96) is None


def test_the_conclusion_names_the_best_its_gain_and_its_cost() -> None:
    said = conclusion(results(row("pi", 0.2, 0.6), row("yarn", 0.1, 0.5)))
    assert said[0].startswith("yarn reads 96 tokens best, at 3.519 nats a token, -1.500")
    assert said[1].startswith("At the trained length of 32 tokens it is worse")
    alike = conclusion(results(row("pi", 0.2, 0.51, jitter=0.4), row("yarn", 0.0, 0.5)))
    assert alike[1] == "Not told from it on these texts: pi."
    assert "no loss against the unchanged model is seen" in alike[2]


def test_the_conclusion_where_nothing_helps() -> None:
    assert conclusion(results(row("pi", 0.2, 3)))[0].endswith("no method helps.")
    none = StudyResults([MethodRow(UNCHANGED)], 32, (32, 96), 8)
    assert conclusion(none) == ["No method reads 96 tokens."]
    table = results(row("linear", 0, 1))
    del table.rows[0].texts["a.txt"][96]  # a learned table, which ends
    assert "unchanged, the model cannot read as many" in conclusion(table)[0]


def test_what_reads_best_can_be_saved_by_a_command_to_paste() -> None:
    """Of those that are better than the unchanged model the first that can be saved."""
    llama, typed = tiny("llama"), ["--hf", "a model", "--text", "a.txt", "--finetune", "9"]
    given = Namespace(hf="a model", gguf="a.gguf", to=96, save=None, method=None)
    plain = [AsItIs(each) for each in spelled(["unchanged", "rerope", "yarn(beta_fast=8)"])]
    contenders: list[Contender] = [*plain, Finetuned(plain[2], 9, 0, print)]

    def said(*rows: MethodRow) -> list[list[str]]:
        steps = next_steps(given, typed, llama, contenders, results(*rows))
        return [shlex.split(command)[4:] for command in steps.values()]

    yarn = row("yarn(beta_fast=8)", 0, 1)
    assert said(row("rerope", 0, 0), yarn) == [
        ["--hf", "a model", "--gguf", "a.gguf", "--to", "96", "--method", "yarn(beta_fast=8)",
         "--save", "DIR"]
    ]  # fmt: skip
    assert said(yarn, row("yarn(beta_fast=8) + 9 steps", 0, 0)) == [
        [*typed, "--method", "yarn(beta_fast=8)", "--save", "DIR"]
    ]
    assert said(row("rerope", 0, 0)) == said(row("yarn(beta_fast=8)", 0, 3)) == []


def test_tasks_have_tables_of_their_own() -> None:
    study = results(row("pi", 0, 1))
    assert tables.passkey(study) is None
    assert tables.order(study) is None
    take_up(study.rows[1], PASSKEY, {"found": {"96": {"0.0": 1.0, "0.5": 0.5}}})
    take_up(study.rows[1], ORDER, {"right": {"96": 0.75}})
    passkey, order = tables.passkey(study), tables.order(study)
    assert passkey is not None
    assert order is not None
    assert passkey.header == ["method", "tokens", "0%", "50%"]
    assert [str(cell) for cell in passkey.rows[0]] == ["pi", "96", "100%", "50%"]
    assert [str(cell) for cell in order.rows[1]] == ["pi", "75%"]
    assert [str(cell) for cell in tables.summary(study).rows[1]][5:7] == ["75%", "75%"]


@pytest.mark.parametrize(
    ("test", "record"),
    [
        (PASSKEY, {}),
        (PASSKEY, {"found": {"96": 1.0}}),
        (ORDER, {"right": {"ninety": 1.0}}),
        ("a.txt", {"lengths": {"96": {"blocks": 3, "last": 1.0}}}),
        ("a.txt", {"lengths": {}, "positions": [1], "seconds": 1.0, "peak_mb": None}),
    ],
)
def test_a_record_that_others_changed_is_refused(test: str, record: dict) -> None:
    with pytest.raises(ValueError, match="is not one of a study") as error:
        take_up(MethodRow("pi"), test, record)
    assert "remove it" in str(error.value)


def test_a_model_that_gives_nothing_finite_makes_no_verdict() -> None:
    broken = row("broken", 0, 1)
    broken.texts["a.txt"][96] = Losses([math.nan] * 8, math.nan)
    study = results(broken)
    assert tables.by_length(study).rows[1][2].kind == ""
    assert study.by_loss()[0].name == UNCHANGED


def test_one_block_has_no_interval_and_zero_no_sign() -> None:
    study = results(row("pi", 0.0, 1))
    for each in study.rows:
        each.texts["a.txt"][32] = Losses([3.0], 3.0)
    cells = tables.summary(study).rows[1]
    assert cells[4].text == "+0.000"
    assert tables.by_length(study).rows[1][1].text == "3.000"
    assert tables.said(Interval(-0.0001, -0.0004, 0.0)) == "+0.000 (+0.000 to +0.000)"
