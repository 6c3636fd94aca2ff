"""The command `diagnose`: examine a model, name what ails it, and say what helps."""

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_posenc.mistakes.arguments import OneLineParser

if TYPE_CHECKING:
    from lightning_posenc.diagnose.subject import Subject

HELP = """usage: python -m lightning_posenc diagnose --ckpt_path FILE [--out DIR] [OPTIONS of test]
       python -m lightning_posenc diagnose --config FILE [--out DIR] [OPTIONS of test]
       python -m lightning_posenc diagnose --hf FOLDER [--text FILE] [--out DIR]

Examine a trained or untrained model, and judge it on sixteen ailments of deep stacks: what was
measured by layer, a verdict (healthy, watch, ill, not applicable, not judged), and what helps, as
an argument of fit. Thresholds and their origin: docs/diagnose.md.

  --ckpt_path FILE  a checkpoint of this package; what else is given beats its config
  --config FILE     a config, whose model is examined untrained
  --hf FOLDER       a Hugging Face model in a local folder; nothing is fetched
  --text FILE       text for --hf, read by the folder's tokenizer; random tokens without it
  --out DIR         where diagnosis.md and diagnosis.html go; default the checkpoint's run
                    directory, else the working directory
"""

SMALL = 10_000_000  # parameters below which several threads wait for each other more than they help


def run(args: Sequence[str]) -> None:
    """Examine a model, print what is found, and write `diagnosis.md` and `diagnosis.html`.

    Raises:
        ValueError: What the user can mend.
    """
    if not args or "--help" in args or "-h" in args:
        print(HELP)
        return
    parser = OneLineParser("diagnose", add_help=False)
    parser.add_argument("--hf", type=Path)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--out", type=Path)
    given, rest = parser.parse_known_args(args)
    if given.out is not None and given.out.is_file():
        raise ValueError(f"--out {given.out} is a file: name a directory")
    subject, home = _patient(given, rest)
    # Late, so that --help and mistakes do not wait for them.
    import torch
    from rich.console import Console

    from lightning_posenc.diagnose import page
    from lightning_posenc.diagnose.ailments import diagnose
    from lightning_posenc.diagnose.examination import examine
    from lightning_posenc.diagnose.pictures import pictures

    threads = torch.get_num_threads()
    if subject.parameters < SMALL:
        torch.set_num_threads(1)
    try:
        examination = examine(subject)
    finally:
        torch.set_num_threads(threads)
    diagnosis = diagnose(examination)
    out = given.out or home or Path()
    out.mkdir(parents=True, exist_ok=True)
    markdown, html = out / "diagnosis.md", out / "diagnosis.html"
    markdown.write_text(page.markdown(examination, diagnosis), "utf-8")
    html.write_text(page.html(examination, diagnosis, pictures(examination)), "utf-8")
    page.print_page(Console(), examination, diagnosis)
    print(f"{markdown}\n{html}")


def _patient(given: argparse.Namespace, rest: list[str]) -> "tuple[Subject, Path | None]":
    if given.hf is not None:
        if rest:
            raise ValueError(f"diagnose --hf takes no {rest[0]}: see --help")
        from lightning_posenc.diagnose.hugging_face import subject_in_folder

        return subject_in_folder(given.hf, given.text), None
    if given.text is not None:
        raise ValueError("--text goes with --hf; other models bring their own data")
    if not any(arg.split("=")[0] in ("--config", "-c", "--ckpt_path") for arg in rest):
        raise ValueError("diagnose: name --ckpt_path, --config or --hf: see --help")
    from lightning_posenc.diagnose.from_config import build
    from lightning_posenc.training import command as training

    # Lightning's own use of torch 2.13, which no user can mend.
    warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)
    try:
        return build(rest)
    except training.USER_ERRORS as error:
        raise ValueError(training.one_line(error)) from error
