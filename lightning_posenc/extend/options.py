"""The options of `extend`, checked as far as they can be before a model is read."""

from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lightning_posenc.checks import number, one_of, whole
from lightning_posenc.mistakes.arguments import OneLineParser

EXTEND = "extend"
# As `pretrained.reading` has them, which takes long to import.
DTYPES = ("float32", "bfloat16", "float16", "float64", "auto")
ATTENTIONS = ("sdpa", "eager")


def parsed(args: Sequence[str]) -> Namespace:
    """Read the options.

    Raises:
        ValueError: If one is missing, unknown, or out of range.
    """
    parser = OneLineParser(EXTEND, add_help=False)
    parser.add_argument("--hf", required=True)
    parser.add_argument("--gguf")
    parser.add_argument("--text", type=Path, nargs="+", default=[])
    parser.add_argument("--train_text", type=Path, nargs="+", default=[])
    parser.add_argument("--to", type=int, required=True)
    parser.add_argument("--methods")
    parser.add_argument("--lengths", type=_several(int))
    parser.add_argument("--task_lengths", type=_several(int))
    parser.add_argument("--depths", type=_several(float), default=[0.0, 0.25, 0.5, 0.75, 1.0])
    for option, default in (
        ("sequences", 4), ("last", None), ("passkeys", 2), ("orders", 8), ("seed", 0),
        ("finetune", 0),
    ):  # fmt: skip
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--attention", default="sdpa")
    for option in ("out", "save"):
        parser.add_argument(f"--{option}", type=Path)
    parser.add_argument("--method")
    given = parser.parse_args(args)
    _check(given)
    return given


def _check(given: Namespace) -> None:
    whole(EXTEND, "to", given.to, 4)
    whole(EXTEND, "sequences", given.sequences)
    for name in ("passkeys", "orders", "finetune", "seed"):
        whole(EXTEND, name, getattr(given, name), 0)
    if given.last is not None:
        whole(EXTEND, "last", given.last)
    for name, known in (("dtype", DTYPES), ("attention", ATTENTIONS)):
        one_of(EXTEND, name, getattr(given, name), known)
    if given.orders == 1:
        raise ValueError("extend: orders=1: half of the prompts ask for the first: give 2, or 0")
    if given.rate is not None:
        number(EXTEND, "rate", given.rate, above=0)
        if not given.finetune:
            raise ValueError("--rate goes with --finetune STEPS")
    for depth in given.depths:
        number(EXTEND, "depths", depth, 0, 1)
    for name in ("lengths", "task_lengths"):
        for length in getattr(given, name) or []:
            whole(EXTEND, name, length, 4, given.to)
    for option in ("out", "save"):
        place = getattr(given, option)
        if place is not None and place.is_file():
            raise ValueError(f"--{option} {place} is a file: name a directory")
    if given.save is not None and given.method is None:
        raise ValueError("--save: say which method by --method NAME")
    if not given.text and (given.save is None or given.finetune):
        raise ValueError("extend: name a text by --text FILE, or --save alone what is known")
    if given.method is not None and given.save is None and not given.finetune:
        raise ValueError("--method goes with --save or --finetune; to compare, use --methods")
    if given.train_text and not given.finetune:
        raise ValueError("--train_text goes with --finetune STEPS")


def _several(kind: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    def read(said: str) -> list[Any]:
        return [kind(each.strip()) for each in said.split(",") if each.strip()]

    read.__name__ = f"list of {kind.__name__}s"  # argparse: "invalid … value"
    return read


def lengths_for(trained: int, to: int) -> tuple[int, ...]:
    """The lengths that are looked at by default: from a quarter of the trained one, by doubling."""
    found = {n for n in (trained // 4, trained // 2) if n >= 4}
    while trained < to:
        found.add(trained)
        trained *= 2
    return (*sorted(found), to)
