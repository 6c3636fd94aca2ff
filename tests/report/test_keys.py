"""Configs by key, names of rows, and what people type."""

from typing import Any

import pytest

from lightning_posenc.report.grouping import COLUMNS, ROWS, label, natural
from lightning_posenc.report.keys import clean, flatten, known, near, same, text
from lightning_posenc.report.metrics import trained
from tests.report.made_runs import class_of, config

REVERSE = class_of("tasks", "Reverse", n_symbols=16)


def flat(positional: dict[str, Any], **more: Any) -> dict[str, Any]:
    return flatten(config(positional, more.pop("task", REVERSE), 0, **more))


def rope(**arguments: Any) -> dict[str, Any]:
    return class_of("positional", "RoPE", **arguments)


def test_flat_keys_are_those_of_the_command_line() -> None:
    keys = flat(rope(base=500000.0))
    assert keys["model"] == "TokenClassifier"
    assert keys["model.positional"] == "RoPE"
    assert keys["model.positional.base"] == 500000.0
    assert keys["model.encoder.d_model"] == 64
    assert keys["data.task.n_symbols"] == 16
    assert keys["data.eval_lengths"] == [10, 20, 30, 40]
    assert clean("model.init_args.positional.class_path") == "model.positional"
    assert {"model.encoder", "data"} <= set(known([keys]))


def test_a_list_of_classes_has_keys() -> None:
    chain = class_of(
        "positional", "Chain", encodings=[rope(base=1.0), class_of("positional", "T5Bias")]
    )
    keys = flat(chain)
    assert keys["model.positional.encodings.0"] == "RoPE"
    assert keys["model.positional.encodings.0.base"] == 1.0


def test_rows_are_named_by_what_tells_them_apart() -> None:
    scaled = rope(base=10000.0, scaling=class_of("positional.rotary.scaling", "YaRN", factor=4))
    chain = class_of("positional", "Chain", encodings=[rope(), class_of("positional", "ALiBi")])
    jittered = class_of("positions", "Randomized", max_position=64)
    configs = [
        flat(rope(base=10000.0, scaling=None)),
        flat(rope(base=500000.0, scaling=None)),
        flat(rope(base=10000.0, scaling=None), lr=0.1),
        flat(scaled),
        flat(chain),
        flat(class_of("positional", "NoPE")),
        flat(class_of("positional", "NoPE"), positions=jittered),
    ]
    assert label(configs, ROWS) == [
        "RoPE base=10000",
        "RoPE base=500000",
        "RoPE base=10000",
        "RoPE(YaRN)",
        "Chain(RoPE, ALiBi)",
        "NoPE",
        "NoPE + Randomized",
    ]


def test_rows_by_other_keys() -> None:
    configs = [flat(rope(), n_layers=n, lr=lr) for n, lr in ((2, 0.1), (16, 0.1), (2, 0.2))]
    assert label(configs, [("model.encoder.n_layers",)]) == [
        "n_layers=2", "n_layers=16", "n_layers=2",
    ]  # fmt: skip
    both = [("model.positional",), ("model.encoder.n_layers",)]
    assert label(configs, both)[1] == "RoPE, n_layers=16"
    assert label(configs, [("model.encoder",)])[1] == "n_layers=16"
    assert sorted(["n_layers=16", "n_layers=2"], key=natural) == ["n_layers=2", "n_layers=16"]


def test_columns_are_tasks_or_files() -> None:
    text_data = {"model": {}, "data": class_of("data", "TextData", path="some/where/books.txt")}
    unknown = {"model": {}, "data": class_of("data", "Mine", size=3, seed=1)}
    configs = [flat(rope()), flatten(text_data), flatten(unknown)]
    assert label(configs, COLUMNS) == ["Reverse", "books.txt", "Mine"]


@pytest.mark.parametrize(
    ("value", "typed", "is_same"),
    [
        (0.003, "3e-3", True),
        (0.003, "0.003", True),
        (2, "2", True),
        (2, "two", False),
        (None, "null", True),
        (True, "true", True),
        (True, "false", False),
        ([10, 20], "[10, 20]", True),
        ("bytes", "bytes", True),
        ("yes", "yes", True),
    ],
)
def test_values_as_typed(value: Any, typed: str, is_same: bool) -> None:
    assert same(value, typed) is is_same


def test_class_names_as_typed() -> None:
    value = flatten(class_of("positional", "RoPE"), "p")["p"]
    assert same(value, "RoPE")
    assert same(value, "lightning_posenc.positional.RoPE")
    assert not same(value, "rope")


def test_hints() -> None:
    assert near("model.positionl", ["model.positional", "data"]) == "did you mean model.positional?"
    assert near("d_model", ["model.encoder.d_model", "x"]) == "did you mean model.encoder.d_model?"
    assert near("qqq", ["a", "b"]) == "there is a, b"


def test_text_is_short() -> None:
    assert [text(v) for v in (True, None, 1e-4, 10000.0, "a/b.txt", [1, 2])] == [
        "true", "null", "0.0001", "10000", "b.txt", "[1, 2]",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (32, (32, 32)),
        ([8, 40], (8, 40)),
        (class_of("data", "UniformLengths", low=1, high=20), (1, 20)),
        (class_of("data", "WeightedLengths", weights={5: 1.0, 30: 2, 60: 0.0}), (5, 30)),
        (class_of("data", "StagedLengths", stages={0: 8, 64: 32}), (8, 32)),
        (None, None),
    ],
)
def test_trained_lengths(given: Any, expected: tuple[int, int] | None) -> None:
    assert trained(flat(rope(), train_length=given)) == expected
