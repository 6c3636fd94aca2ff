"""The command `tasks`: list them, or print samples of one."""

from collections.abc import Sequence
from contextlib import suppress

import torch
from jsonargparse import ArgumentError, ArgumentParser
from rich.console import Console

from lightning_posenc.catalogue.discovery import OURS, classes, found, is_module
from lightning_posenc.catalogue.docstrings import summary
from lightning_posenc.catalogue.listing import Row, show
from lightning_posenc.checks import whole
from lightning_posenc.mistakes.one_line import did_you_mean
from lightning_posenc.tasks import Task, generate
from lightning_posenc.training.parser_errors import explain

MOST = 2**20  # tokens to print


def run(args: Sequence[str]) -> None:
    """List tasks, ours or those of a module, or with the name of one print samples.

    `tasks Reverse --n 3 --length 8`; `tasks my_tasks`; `tasks my_tasks.MyTask --n 3`.

    Raises:
        ValueError: On an unknown task or option, or a length that the task cannot make.
    """
    if not args or args[0].startswith("-"):
        if args and args[0] not in ("-h", "--help"):
            raise ValueError(f"tasks: unknown option {args[0]}: give the name of a task first")
        _list(available())
        return
    name, *options = args
    kind = available().get(name) or found(Task, name)
    if kind is None:
        theirs = available(name) if is_module(name) else {}
        if not theirs or options:
            hint = did_you_mean(
                name, [*theirs, *available()], "the command without a name, or with that of your "
                "module, lists them"
            )  # fmt: skip
            raise ValueError(f"tasks: no task {name!r}: {hint}")
        _list(theirs)
        return
    parser = ArgumentParser(
        prog=f"python -m lightning_posenc tasks {name}", exit_on_error=False, allow_abbrev=False
    )
    parser.add_argument("--n", type=int, default=3, help="samples to print")
    parser.add_argument("--length", type=int | None, default=None, help="size of the problem")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", type=str, default="train")
    parser.add_class_arguments(kind, "task")
    try:
        given = parser.parse_args([_nested(option) for option in options])
    except ArgumentError as error:
        raise ValueError(f"tasks {name}: {explain(str(error)).replace('task.', '')}") from error
    task = kind(**(given.task.as_dict() if "task" in given else {}))
    length = example_length(task) if given.length is None else given.length
    whole("tasks", "--n", given.n, most=MOST)
    # Before anything is made of that length: the problem may take many tokens for each of its own.
    whole("tasks", "--length", length, least=min(length, 0), most=MOST)
    if given.n * task.width(length) > MOST:
        raise ValueError(
            f"tasks: {given.n} samples of {task.width(length)} tokens are more than anyone reads: "
            f"--n and --length are to make at most {MOST} tokens"
        )
    lines = samples(task, given.n, length, given.seed, given.split)
    print("\n\n".join([f"{name}, length {length}: {summary(type(task))}", *lines]))


def available(module: str = OURS) -> dict[str, type[Task]]:
    """Every task of a module, or package, by name; by its path if it is none of ours."""
    return classes(Task, [module])


def samples(task: Task, n: int, length: int, seed: int, split: str) -> list[str]:
    """The first n samples of a stream, as a person reads them."""
    sample = generate(task, seed, split, torch.arange(n), length)
    widths = [sample.tokens.shape[1]] * n if sample.lengths is None else sample.lengths.tolist()
    shown = []
    for tokens, targets, width in zip(
        sample.tokens.tolist(), sample.targets.tolist(), widths, strict=True
    ):
        answers = targets if isinstance(targets, int) else targets[:width]
        shown.append(task.show(tokens[:width], answers))
    return shown


def example_length(task: Task, wanted: int = 10) -> int:
    """The length nearest above `wanted` that the task can make."""
    for length in range(max(wanted, task.min_length), max(wanted, task.min_length) + 50):
        try:
            task.check_length(length)
        except ValueError:
            continue
        return length
    return task.min_length


def _nested(option: str) -> str:
    """`--n_symbols=4` means an argument of the task; the command's own stay as they are."""
    own = ("--n", "--length", "--seed", "--split", "--help")
    if option.startswith("--") and option.split("=")[0] not in own:
        return f"--task.{option.removeprefix('--').removeprefix('task.')}"
    return option


def _list(kinds: dict[str, type[Task]]) -> None:
    columns = ("class", "answers", "shortest", "no order, at best")
    rows = []
    for name, kind in kinds.items():
        facts = [name, "", "", ""]
        with suppress(TypeError, FileNotFoundError):  # of other tasks, or of the user's files
            task = kind()
            length = example_length(task)
            answers = f"one of {task.n_classes}" + (" a token" if task.kind == "token" else "")
            bound = f"{task.bag_of_tokens_bound(length):.3f} at {length}"
            facts = [name, answers, str(task.min_length), bound]
        rows.append(Row(facts, summary(kind)))
    show(Console(), "tasks (--data.task=...)", columns, rows)
    example = "Reverse" if "Reverse" in kinds else next(iter(kinds))
    print(f"\npython -m lightning_posenc tasks {example} --n 3 --length 8   prints samples")
    print("python -m lightning_posenc tasks my_package.tasks   lists your own")
