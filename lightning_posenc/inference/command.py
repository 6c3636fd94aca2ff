"""`predict` of what a person types: texts, lines of standard input, pictures, recordings."""

import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_posenc.mistakes.arguments import OneLineParser
from lightning_posenc.mistakes.escaping import json_of, plain
from lightning_posenc.runs import strict_json

if TYPE_CHECKING:
    from lightning_posenc.inference.predictor import Predictor

ASKS = ("--text", "--file")
STDIN = "-"
WIDEST = 60  # characters of an input in a table

HELP = """usage: python -m lightning_posenc predict --ckpt_path RUN --text TEXT [OPTIONS]
       python -m lightning_posenc predict --ckpt_path RUN --data.path FILE [OPTIONS of predict]

Ask a trained model. The first form prints answers, the second writes predictions.jsonl; all of its
options: predict --help.

  --ckpt_path RUN   a run's directory, or a checkpoint
  --text TEXT       what the model reads: a text, a sentence, a prompt, a task's tokens; several
                    times for several; - for the lines of standard input
  --file FILE       a picture or a recording; or a file of text, of which each line is one; several
                    times for several
  --json            a line of JSON for each answer, as soon as it is there
  --batch_size N    how many are run at once (32)
  --max_length N    tokens that an input is cut to, if not those of training
  --device DEVICE   cpu, cuda, cuda:1, mps; by default a GPU, if there is one
  --precision P     32-true, bf16-mixed, bf16-true, ...
  --trust MODULE    a module whose classes the checkpoint may name; several times for several

of a causal language model, which continues the text:
  --max_new_tokens N (50)  --temperature T (1; 0 takes the likeliest)  --top_k K  --top_p P
  --min_p P  --repetition_penalty R  --seed N (0)
  --score           how well it expects the text instead: bits per byte, perplexity
"""
_OF_SAMPLING = {
    "max_new_tokens": int, "temperature": float, "top_k": int, "top_p": float, "min_p": float,
    "repetition_penalty": float, "seed": int,
}  # fmt: skip


def is_asked(args: Sequence[str]) -> bool:
    """Whether `predict` is asked for answers to what stands in its own arguments."""
    return any(arg.partition("=")[0] in ASKS for arg in args)


def run(args: Sequence[str]) -> None:
    """Print what a model says of what the arguments hold.

    Raises:
        ValueError: What the user can mend.
        FileNotFoundError: If there is no such checkpoint or file.
    """
    if "--help" in args or "-h" in args:
        print(HELP)
        return
    parser = OneLineParser("predict", add_help=False)
    parser.add_argument("--ckpt_path", required=True)
    parser.add_argument("--text", action="append", default=[])
    parser.add_argument("--file", action="append", default=[], type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--max_length", type=int)
    parser.add_argument("--device")
    parser.add_argument("--precision")
    parser.add_argument("--trust", action="append", default=[])
    parser.add_argument("--score", action="store_true")
    for name, kind in _OF_SAMPLING.items():
        parser.add_argument(f"--{name}", type=kind)
    given = parser.parse_args(args)
    sampling = {k: v for k, v in vars(given).items() if k in _OF_SAMPLING and v is not None}
    if given.score and sampling:
        raise ValueError(f"--score says nothing new: leave --{next(iter(sampling))} out")
    model = _loaded(given)
    inputs = _inputs(model, given.text, given.file)
    found: Iterable[tuple[Any, dict[str, Any]]]
    if given.score:
        found = ((each, model.score(each, max_length=given.max_length)) for each in inputs)
    else:
        found = _answered(model, inputs, given.batch_size, given.max_length, sampling)
    (_print_json if given.json else _print_table)(model, found)


def _loaded(given: Namespace) -> "Predictor":
    # Late, so that --help and mistakes do not wait for them.
    from lightning_posenc.training.startup import import_torchmetrics, uncollected

    with uncollected():
        import_torchmetrics()
        from lightning_posenc.inference.loading import load
    how = {"device": given.device, "precision": given.precision, "trust": given.trust}
    return load(given.ckpt_path, **how)


def _inputs(model: "Predictor", texts: Sequence[str], files: Sequence[Path]) -> Iterator[Any]:
    """What is asked, in the order of the options; of standard input line by line."""
    if model.reader is None:
        raise ValueError(f"predict: the model takes {model.takes}: give --data.path")
    for text in texts:
        yield from map(model.reader.of_word, _lines_of_stdin() if text == STDIN else [text])
    for file in files:
        yield from model.reader.of_file(file)


def _lines_of_stdin() -> Iterator[str]:
    for number, line in enumerate(getattr(sys.stdin, "buffer", sys.stdin), 1):
        try:
            text = line if isinstance(line, str) else line.decode()  # whatever the locale says
        except UnicodeDecodeError as error:
            raise ValueError(f"--text -: line {number} is not UTF-8 ({error.reason})") from error
        yield text.rstrip("\r\n")


def _answered(
    model: "Predictor",
    inputs: Iterator[Any],
    batch_size: int,
    max_length: int | None,
    sampling: dict[str, Any],
) -> Iterator[tuple[Any, dict[str, Any]]]:
    while chosen := list(islice(inputs, max(batch_size, 1))):
        given = {"batch_size": batch_size, "max_length": max_length, **sampling}
        yield from zip(chosen, model(chosen, **given), strict=True)


def _print_json(model: "Predictor", found: Iterable[tuple[Any, dict[str, Any]]]) -> None:
    assert model.reader is not None
    for given, answer in found:
        line = {"input": model.reader.shown(given), **answer}
        print(json_of(strict_json.text(line, ensure_ascii=False)), flush=True)


def _print_table(model: "Predictor", found: Iterable[tuple[Any, dict[str, Any]]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    assert model.reader is not None
    pairs = list(found)
    if not pairs:
        raise ValueError("predict: there is nothing to predict: standard input is empty")
    table = Table()
    rows = [_cells(answer) for _, answer in pairs]
    for name in ("input", *rows[0]):
        table.add_column(name, overflow="fold")
    for (given, _), cells in zip(pairs, rows, strict=True):
        shown = " ".join(model.reader.shown(given).split())
        shown = shown if len(shown) <= WIDEST else f"{shown[: WIDEST - 1]}…"
        shown_cells = map(plain, (shown, *cells.values()))
        table.add_row(*map(Text, shown_cells))  # what is said is no markup, nor obeyed
    Console().print(table)


def _cells(answer: dict[str, Any]) -> dict[str, str]:
    """What a line of a table says of an answer."""
    if "probabilities" in answer:
        others = sorted(answer["probabilities"].items(), key=lambda each: -each[1])[1:3]
        then = ", ".join(f"{name} {share:.3f}" for name, share in others)
        return {"label": answer["label"], "score": f"{answer['score']:.3f}", "then": then}
    if "tags" in answer:
        pairs = zip(answer["words"], answer["tags"], strict=True)
        cells = {"tags": " ".join(f"{word}/{tag}" for word, tag in pairs)}
        if "entities" in answer:
            found = (f"{each['text']} ({each['entity']})" for each in answer["entities"])
            cells["entities"] = ", ".join(found)
        return cells
    if "guesses" in answer:
        said = [" ".join(repr(each["token"]) for each in row) for row in answer["guesses"]]
        return {"text": answer["text"], "guesses": "; ".join(said)}
    return {
        name: f"{value:.4g}" if isinstance(value, float) else " ".join(map(str, value))
        if isinstance(value, list) else str(value)
        for name, value in answer.items() if name != "scores"
    }  # fmt: skip
