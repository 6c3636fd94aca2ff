"""The command `diagnose`: examine a model, name what ails it, and say what helps."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lightning_posenc.mistakes.arguments import OneLineParser
from lightning_posenc.runs.run_directory import DIAGNOSIS
from lightning_posenc.runs.whole_files import write_whole

if TYPE_CHECKING:
    from lightning_posenc.diagnose.ailments import Ailment, Finding
    from lightning_posenc.diagnose.causes import Cause
    from lightning_posenc.diagnose.examination import Examination
    from lightning_posenc.diagnose.subject import Subject

HELP = """usage: python -m lightning_posenc diagnose --ckpt_path FILE [--out DIR] [OPTIONS of test]
                                  [--cause_seconds S]
       python -m lightning_posenc diagnose --config FILE [--out DIR] [OPTIONS of test]
       python -m lightning_posenc diagnose --hf MODEL [--text FILE ...] [--length N] [--out DIR]
                                  [--sequences N] [--skip NAME ...] [--device NAME] [--dtype NAME]
                                  [--gguf_file NAME]

Examine a trained or untrained model, and judge it on the ailments of deep stacks: what was
measured by layer, a verdict (healthy, watch, ill, not applicable, not judged), and what helps, as
an argument of fit. Thresholds and their origin: docs/diagnose.md.

  --ckpt_path FILE  a checkpoint of this package; what else is given beats its config
  --config FILE     a config, whose model is examined untrained
  --hf MODEL        a Hugging Face model: a local folder, a GGUF file, or owner/name on the hub
  --text FILE       text for --hf, one file or several, .txt or .jsonl with a "text" in each line,
                    read by the model's own tokenizer; random tokens without it
  --length N        tokens of a sequence, up to what memory holds; default 512 of text, or the
                    trained length if that is shorter. Beyond it, whether context does harm is seen
  --skip NAME ...   leave out what takes most of the time of long sequences: context, passkey, order
  --sequences N     how many; default 16,384 tokens in all, at least 2 and at most 32 sequences
  --device NAME     cpu (default), cuda, cuda:1, mps, or auto: CUDA where there is one
  --dtype NAME      of the weights: float32 (default), bfloat16, float16, float64, or auto
  --gguf_file NAME  a file in the folder of --hf
  --cause_seconds S how long copies of an ill model of this package may be trained, to see which
                    ailment is the cause: what it names is cut away, and the score looked at;
                    default 120, 0 for not at all
  --out DIR         where diagnosis.md and diagnosis.html go; default the checkpoint's run
                    directory, else the working directory
"""

SECONDS = 120.0
SKIPPABLE = ("context", "passkey", "order")
OF_READING = {"device": "cpu", "dtype": "float32", "gguf_file": None}
SMALL = 10_000_000  # parameters below which several threads wait for each other more than they help


class Examined(NamedTuple):
    """What an examination leaves.

    Args:
        examination: What was measured.
        diagnosis: What the doctor says, by ailment.
        cause: Which ailment is the cause; None if it was not looked for.
        files: `diagnosis.md` and `diagnosis.html`.
    """

    examination: "Examination"
    diagnosis: "Sequence[tuple[Ailment, Finding]]"
    cause: "Cause | None"
    files: tuple[Path, Path]


def run(args: Sequence[str]) -> None:
    """Examine a model, print what is found, and write `diagnosis.md` and `diagnosis.html`.

    Raises:
        ValueError: What the user can mend.
    """
    if not args or "--help" in args or "-h" in args:
        print(HELP)
        return
    found = examined(args)
    from rich.console import Console

    from lightning_posenc.diagnose import page

    page.print_page(Console(), *found[:3])
    print("\n".join(map(str, found.files)))


def examined(args: Sequence[str]) -> Examined:
    """Examine a model, and write its page.

    Raises:
        ValueError: What the user can mend.
    """
    parser = OneLineParser("diagnose", add_help=False)
    parser.add_argument("--hf")
    parser.add_argument("--text", type=Path, nargs="+", default=[])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--length", type=int)
    parser.add_argument("--skip", nargs="+", default=[], choices=SKIPPABLE)
    parser.add_argument("--sequences", type=int)
    parser.add_argument("--cause_seconds", type=float)
    for name, default in OF_READING.items():
        parser.add_argument(f"--{name}", default=default)
    given, rest = parser.parse_known_args(args)
    if given.out is not None and given.out.is_file():
        raise ValueError(f"--out {given.out} is a file: name a directory")
    if given.cause_seconds is not None and not 0 <= given.cause_seconds < float("inf"):
        raise ValueError(f"--cause_seconds must be 0 or more, got {given.cause_seconds:g}")
    subject, home = _patient(given, rest)
    # Late, so that --help and mistakes do not wait for them.
    import torch

    from lightning_posenc.diagnose import page
    from lightning_posenc.diagnose.ailments import judged
    from lightning_posenc.diagnose.causes import find_cause
    from lightning_posenc.diagnose.examination import examine
    from lightning_posenc.diagnose.pictures import pictures
    from lightning_posenc.diagnose.subject import OwnModel
    from lightning_posenc.pages.run_page import write_run_page

    threads = torch.get_num_threads()
    if subject.parameters < SMALL:
        torch.set_num_threads(1)
    try:
        examination = examine(subject)
        diagnosis, cause = judged(examination), None
        if isinstance(subject, OwnModel):
            seconds = SECONDS if given.cause_seconds is None else given.cause_seconds
            cause = find_cause(subject, examination, diagnosis, seconds)
    finally:
        torch.set_num_threads(threads)
    out = given.out or home or Path()
    out.mkdir(parents=True, exist_ok=True)
    files = out / f"{DIAGNOSIS}.md", out / f"{DIAGNOSIS}.html"
    write_whole(files[0], page.markdown(examination, diagnosis, cause))
    write_whole(files[1], page.html(examination, diagnosis, pictures(examination), cause))
    write_whole(out / f"{DIAGNOSIS}.json", page.as_json(examination, diagnosis, cause))
    if home is not None and out == home:
        write_run_page(home)
    return Examined(examination, diagnosis, cause, files)


def _patient(given: argparse.Namespace, rest: list[str]) -> "tuple[Subject, Path | None]":
    if given.hf is not None:
        if rest:
            raise ValueError(f"diagnose --hf takes no {rest[0]}: see --help")
        if given.cause_seconds is not None:
            raise ValueError("--cause_seconds is of models of this package: --hf is not trained")
        from lightning_posenc.diagnose.hugging_face import subject_in_folder

        options = {name: getattr(given, name) for name in OF_READING}
        return subject_in_folder(
            given.hf, given.text, given.length, given.sequences, given.skip, **options
        ), None
    alone = {"text": given.text, "length": given.length, "sequences": given.sequences}
    alone["skip"] = given.skip
    alone |= {name: getattr(given, name) != default for name, default in OF_READING.items()}
    if named := [name for name, value in alone.items() if value]:
        raise ValueError(f"--{named[0]} goes with --hf; other models bring their own data")
    if not any(arg.split("=")[0] in ("--config", "-c", "--ckpt_path") for arg in rest):
        raise ValueError("diagnose: name --ckpt_path, --config or --hf: see --help")
    from lightning_posenc.diagnose.from_config import build
    from lightning_posenc.training import command as training

    training.leave_out_advice()
    with training.in_words():
        return build(rest)
