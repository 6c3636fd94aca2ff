"""The command line: find the command first, import what it needs afterwards.

A user's mistake ends in one line on stderr and exit status 2; set LIGHTNING_POSENC_TRACEBACK=1 to
see where it was noticed. Output that cannot be written stops nothing.
"""

import importlib
import sys
from collections.abc import Sequence

from lightning_posenc.mistakes.terminal import forgiving_output

TRAINING = {
    "fit": "train a model, then test it",
    "validate": "evaluate a checkpoint on the validation data",
    "test": "evaluate a checkpoint at every test length",
    "predict": "ask a checkpoint: labels of --text TEXT, or predictions.jsonl of a file",
}
STUDIES = {
    "encodings": "list the encodings, samplers of positions and scalings: paper, limits, cost",
    "mixers": "list the mixers: paper, growth, state, and which encodings each honours",
    "tasks": "list the synthetic tasks, or print samples of one",
    "configs": "list the configs and sweeps that come along, print or save one",
    "diagnose": "examine a model by layer: what ails it, and what helps",
    "extend": "make a trained model read longer texts: compare methods, save one",
    "sweep": "run a sweep in W&B's format on this machine",
    "export": "write a checkpoint's model for others: Hugging Face, safetensors, ONNX",
    "report": "compare runs: tables with intervals, curves, costs, one page",
    "new": "write a class to start from (an encoding, a task, …), its test and a config",
}
COMMANDS = TRAINING | STUDIES
STUDIES_LIE_IN = {
    "encodings": "catalogue.encodings",
    "mixers": "catalogue.mixers",
    "tasks": "catalogue.tasks",
    "configs": "shipped.command",
    "diagnose": "diagnose.command",
    "extend": "extend.command",
    "sweep": "sweep.command",
    "export": "export.command",
    "report": "report.command",
    "new": "new.command",
}

HELP = """usage: python -m lightning_posenc COMMAND [OPTIONS]

Train deep transformers with pluggable positional encodings, and see whether the position
signal survives.

commands:
{commands}

examples:
  python -m lightning_posenc fit --config quickstart
  python -m lightning_posenc fit --config configs/quickstart.yaml --model.positional=NoPE
  python -m lightning_posenc test --ckpt_path runs/quickstart/ID/checkpoints/last.ckpt
  python -m lightning_posenc predict --ckpt_path runs/moods/ID --text "I am so happy"
  python -m lightning_posenc fit --help        every option of a command
  python -m lightning_posenc fit --model=SequenceClassifier --model.positional.help=ALiBi
                                               the options of an encoding
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: Arguments without the program's name; None takes the process's own.

    Returns:
        Exit status: 0, 2 after a user's mistake, 130 after Ctrl-C, or what a study says.
    """
    with forgiving_output():
        try:
            return _run(list(sys.argv[1:] if argv is None else argv))
        except KeyboardInterrupt:  # while modules are imported, which takes seconds
            print("interrupted", file=sys.stderr)
            return 130


def _run(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help"):
        print(
            HELP.format(
                commands="\n".join(f"  {name:<12}{what}" for name, what in COMMANDS.items())
            )
        )
        return 0
    if args[0] == "--version":
        from lightning_posenc import __version__

        print(__version__)
        return 0
    from lightning_posenc import shipped
    from lightning_posenc.inference import command as asking
    from lightning_posenc.mistakes.one_line import did_you_mean, fail, guarded

    args = shipped.with_paths(args)

    if args[0] not in COMMANDS:
        hint = did_you_mean(args[0], COMMANDS, f"choose one of {', '.join(COMMANDS)}")
        return fail(f"unknown command {args[0]!r}: {hint}")
    if sys.flags.optimize > 1 and any(map(_asks_for_help, args)):
        print("python -OO leaves out what options are for: run without -OO", file=sys.stderr)
    if args[0] in STUDIES:
        command = importlib.import_module(f"lightning_posenc.{STUDIES_LIE_IN[args[0]]}")
    elif args[0] == "predict" and asking.is_asked(args):
        command = asking
    else:
        if args[0] == "predict" and any(map(_asks_for_help, args)):
            print(asking.HELP)
        from lightning_posenc.training.startup import import_torchmetrics, uncollected

        with uncollected():
            import_torchmetrics()
            command = importlib.import_module("lightning_posenc.training.command")
    given = args if command.__name__.endswith(".training.command") else args[1:]
    return guarded(
        lambda: command.run(given),
        getattr(command, "USER_ERRORS", (ValueError, FileNotFoundError)),
        getattr(command, "one_line", str),
    )


def _asks_for_help(argument: str) -> bool:
    return argument == "-h" or argument.partition("=")[0].endswith(("--help", ".help"))
