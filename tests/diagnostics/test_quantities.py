"""The table of quantities and the grammar of metric keys."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import lightning_posenc
from lightning_posenc.diagnostics.metric_keys import (
    AT_LENGTH,
    STAGES,
    Key,
    by_length,
    is_higher_better,
    is_loss,
    parse,
)
from lightning_posenc.diagnostics.quantities import MEASUREMENTS, QUANTITIES, SCORES

ROOT = Path(lightning_posenc.__file__).parent


@pytest.mark.parametrize(
    ("key", "read"),
    [
        ("val/acc", Key("acc", "val")),
        ("train/loss", Key("loss", "train")),
        ("test/acc/len_128", Key("acc", "test", 128)),
        ("test/acc_without_order/len_8", Key("acc_without_order", "test", 8)),
        ("test/acc/len_trained", Key("acc", "test", "trained")),
        ("test/effective_length", Key("effective_length", "test")),
        ("attn/entropy/layer_03/head_1", Key("attn/entropy", layer=3, part=1)),
        ("attn/sink/layer_11", Key("attn/sink", layer=11)),
        ("pos_grad/layer_03/embed", Key("pos_grad/embed", layer=3)),
        ("pos_grad/layer_03/plane_00", Key("pos_grad/plane", layer=3, part=0)),
        ("pos_grad/parameters/a.weight", Key("pos_grad/parameters/a.weight")),
        ("pos_share/layer_100", Key("pos_share", layer=100)),
        ("order/swapped", Key("order/swapped")),
        ("own/layer_00", Key("own", layer=0)),
        ("val/own/layer_02", Key("own", "val", layer=2)),
        ("test/len_8", Key("", "test", 8)),  # what scores of one length have in common
        ("val", Key("", "val")),
        ("lr-AdamW/pg1", Key("lr-AdamW/pg1")),
        ("test/acc/len_short", Key("acc/len_short", "test")),
        ("val/top_5", Key("top_5", "val")),
        ("test/acc/len_" + "9" * 5000, Key("acc/len_" + "9" * 5000, "test")),
        ("", Key("")),
        ("test/a_{i}_{}/len_20", Key("a_{i}_{}", "test", 20)),
        ("{x}/layer_01", Key("{x}", layer=1)),
    ],
)
def test_keys_are_read_and_written(key: str, read: Key) -> None:
    assert parse(key) == read
    assert str(read) == key


def test_a_key_of_ones_own_is_read_by_the_same_grammar() -> None:
    assert parse("mine/layer_3/group_2") == Key("mine/group", layer=3, part=2)
    assert parse("mine/layer_3/x/head_2") == Key("mine/x", layer=3, part=2)
    assert parse("val/mine/layer_3").quantity == "val/mine"


def test_every_row_survives_the_grammar() -> None:
    for row in QUANTITIES.values():
        layered = "{layer}" in row.form
        key = Key(row.name, layer=7 if layered else None, part=2 if "{part" in row.form else None)
        assert parse(str(key)) == key
        assert parse(str(key._replace(part=None))) == key._replace(part=None)
    for row in SCORES:
        for stage in STAGES:
            for length in (None, 5, *AT_LENGTH):
                key = Key(row.name, stage, length)
                assert parse(str(key)) == key


def test_every_row_says_what_it_is() -> None:
    assert len(QUANTITIES) == len(set(QUANTITIES))
    for row in QUANTITIES.values():
        assert row.title, row
        assert row.range[0] < row.range[1], row
        assert not row.title[0].isupper() or row.title[0] in "BFR", row
        assert len(row.label) <= 46, f"{row.name}: a title as wide as its picture"
    scores = {row.name for row in SCORES}
    assert all(QUANTITIES[name].higher is not None for name in scores)
    assert len({each.name for each in MEASUREMENTS}) == len(MEASUREMENTS)


@pytest.mark.parametrize(
    ("key", "higher"),
    [
        ("val/loss", False),
        ("train/penalty", False),
        ("test/perplexity/len_64", False),
        ("test/bits_per_byte/len_trained", False),
        ("test/f1_macro/len_64", True),
        ("test/acc/len_64", True),
        ("test/exact/len_trained", True),
        ("test/effective_length", True),
        ("probe/mae/layer_00", False),
        ("attn/entropy/layer_00/head_0", None),
        ("val/acc/class_3", True),  # of a part of what the table knows
        ("val_loss", False),
        ("val/my-error", False),
        ("val/f1_loss", False),  # of anything a loss is better the lower
        ("val/acc5", True),
        ("val/MulticlassAccuracy", True),
        ("val/MeanSquaredError", False),
        ("best/val/acc", True),
        ("val/mine", None),
        ("val/saccades", None),  # a word, not a piece of one
    ],
)
def test_which_way_is_better(key: str, higher: bool | None) -> None:
    assert is_higher_better(key) is higher


def test_losses_and_lengths() -> None:
    keys = ("val/loss", "test/loss/len_8", "loss", "val/losses", "test/acc/len_8")
    assert [is_loss(key) for key in keys] == [True, True, True, False, False]
    metrics = {"test/acc/len_9": 1, "test/acc/len_8": 2.0, "val/acc": 3, "test/acc/len_longest": 4}
    assert by_length(metrics, "acc") == {8: 2.0, 9: 1.0}


def test_nobody_else_takes_a_key_apart() -> None:
    """No word of the grammar is written or matched but in the grammar's own file."""
    grammar = re.compile(
        r"""layer_\{|layer_\(|layer_"|len_\{|len_\(|"test/len_|startswith\("(val|test)/"""
    )
    found = {
        f"{path.relative_to(ROOT)}:{number}"
        for path in ROOT.rglob("*.py")
        if path.name != "metric_keys.py"
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if grammar.search(line)
    }
    assert not found


def test_the_table_waits_for_no_torch() -> None:
    code = (
        "import sys; from lightning_posenc.diagnostics import metric_keys, quantities;"
        "from lightning_posenc.diagnostics.measures import effective_length;"
        "print('torch' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent
    )
    assert run.stdout.strip() == "False"
