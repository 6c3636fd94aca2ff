"""The pages of samplers, scalings, mixers and tasks."""

import torch

from lightning_posenc.catalogue.described_mixers import MixerEntry
from lightning_posenc.catalogue.listing import markdown_table
from lightning_posenc.catalogue.mixers import cells_of
from lightning_posenc.catalogue.pages import markdown as md
from lightning_posenc.catalogue.pages.documented import documented
from lightning_posenc.catalogue.pages.examples import OF_FILES, code_of, command_of, ran
from lightning_posenc.catalogue.pages.pictures import of_mixer, of_sampler, of_scaling
from lightning_posenc.catalogue.pages.recorded import WrittenDown, of_class
from lightning_posenc.catalogue.tasks import example_length, samples
from lightning_posenc.model import Mixer
from lightning_posenc.positional.rotary.scaling import Scaling
from lightning_posenc.positions import Positions
from lightning_posenc.tasks import Task

WORKS = {"yes": "both", "causal": "causal", "bidirectional": "bidirectional"}
LONGER = (1, 2, 4)  # times the length of the example, at which a task states its bound


def sampler_page(kind: type[Positions]) -> tuple[str, bytes]:
    """A sampler's Markdown and picture."""
    name, said, code = kind.__name__, documented(kind), code_of(kind)
    read = "Tokens read `653+49=207`. " if kind.reads_tokens else ""
    shown = f"{md.picture('Positions of', name)}\n\n{read}A line is a sequence, drawn with seed 0."
    line = command_of(kind)
    taken = f"\n\nOn the command line:\n\n{md.shell(line)}" if line else ""
    parts = [
        ("", md.plain(said.sentence)),
        ("", md.equation(kind.equation)),
        ("", "\n\n".join(map(md.plain, said.explained))),
        ("What it gives", shown),
        ("Use it", f"{md.python(code)}\n\nAn encoder takes it as `positions`.{taken}"),
        ("Options", md.options(kind, said)),
        ("Source", md.sourced(kind.source, said) or "Of this package; no paper describes it."),
        ("Deviations", md.plain(said.deviations)),
        ("When it refuses", md.refusals(said)),
        ("In the reference", f"[`{name}`][{kind.__module__}.{name}]"),
    ]
    return md.page(name, parts), of_sampler(ran(code)["positions"])


def scaling_page(kind: type[Scaling], recorded: WrittenDown) -> tuple[str, bytes]:
    """A scaling's Markdown and picture."""
    name, said = kind.__name__, documented(kind)
    shown = (
        f"{md.picture('Frequencies under', name)}\n\nOf 64 pairs of channels, base 10,000, trained "
        "at 2,048 tokens, made four times as long."
    )
    rows = [[f"`{row[1]}`", *row[2:]] for row in of_class(recorded.scalings, name)]
    factors = [f"factor {factor}" for factor in recorded.factors]
    exact = markdown_table(("in Hugging Face", *factors), rows) if rows else (
        "No other library has it in this form; a transcription of the paper in float64 is its "
        "oracle (`tests/positional/test_scaling.py`)."
    )  # fmt: skip
    breaks = (
        "- Frequencies change with the length: a cache of keys is refused beyond the trained one."
        if kind.dynamic
        else "- Frequencies are the same at every length, short ones included: look at the loss at "
        "the trained length as well."
    )
    parts = [
        ("", md.plain(said.sentence)),
        ("", md.equation(kind.equation)),
        ("", "\n\n".join(map(md.plain, said.explained))),
        ("What it changes", shown),
        ("Use it", md.python(code_of(kind))),
        ("Options", md.options(kind, said)),
        ("Source", md.sourced(kind.source, said)),
        ("Deviations", md.plain(said.deviations)),
        ("When it refuses", md.refusals(said)),
        ("How exact it is", f"{exact}\n\nRelative difference of the frequencies."),
        ("Where it breaks", f"{breaks}\n- What a model gains by it: [extend](../extend.md)."),
        ("In the reference", f"[`{name}`][{kind.__module__}.{name}]"),
    ]
    return md.page(name, parts), of_scaling(kind)


def mixer_page(
    kind: type[Mixer], entry: MixerEntry | None, recorded: WrittenDown
) -> tuple[str, bytes]:
    """A mixer's Markdown and picture."""
    name, said = kind.__name__, documented(kind)
    shown = (
        f"{md.picture('Which token moves which, in', name)}\n\nHow far an output (down) moves with "
        "another token (across), at random weights, the largest 1; a token's own part is left out."
    )
    rows: list[tuple[str, str]] = []
    if entry is not None:
        _, paper, time, memory, measured, state, serves, hooks, error = cells_of(entry)
        rows = [
            ("time of T tokens", time), ("memory", memory), ("measured exponents", measured),
            ("state for decoding", state), ("serves", serves), ("hooks it honours", hooks),
            ("largest error against its oracle", error), ("paper", paper),
        ]  # fmt: skip
    parts = [
        ("", md.plain(said.sentence)),
        ("", md.equation(kind.equation)),
        ("", "\n\n".join(map(md.plain, said.explained))),
        ("", md.facts(rows)),
        ("What reaches what", shown),
        ("Use it", md.python(code_of(kind))),
        ("Options", md.options(kind, said)),
        ("Source", md.sourced(kind.source, said)),
        ("Deviations", md.plain(said.deviations)),
        ("When it refuses", md.refusals(said)),
        ("Which encodings it honours", _honoured(name, recorded)),
        ("In the reference", f"[`{name}`][{kind.__module__}.{name}]"),
    ]
    return md.page(name, parts), of_mixer(kind)


def _honoured(name: str, recorded: WrittenDown) -> str:
    column = 1 + recorded.mixers.index(name)
    found: dict[str, list[str]] = {}
    for row in recorded.pairs:
        encoding = row[0].strip("`")
        link = f"[{encoding}](../encodings/{encoding}.md)"
        found.setdefault(row[column], []).append(link)
    lines = [
        f"- in {'models of both directions' if how == 'both' else f'{how} models'}: "
        f"{', '.join(found.pop(word))}"
        for word, how in WORKS.items()
        if word in found
    ]
    refused = ", ".join(link for links in found.values() for link in links)
    return "\n".join([*lines, f"- not: {refused}"] if refused else lines)


def task_page(kind: type[Task]) -> str:
    """A task's Markdown: samples, sizes, and what can be done without order."""
    name, said = kind.__name__, documented(kind)
    parts = [
        ("", md.plain(said.sentence)),
        ("", "\n\n".join(map(md.plain, said.explained))),
        *([] if name in OF_FILES else _seen(ran(code_of(kind))["task"], name)),
        ("Use it", f"{md.python(code_of(kind))}\n\n{_command(kind)}"),
        ("Options", md.options(kind, said)),
        ("Source", md.sourced(None, said) or "Of this package; no paper describes it."),
        ("Deviations", md.plain(said.deviations)),
        ("When it refuses", md.refusals(said)),
        ("In the reference", f"[`{name}`][{kind.__module__}.{name}]"),
    ]
    return md.page(name, parts)


def _command(kind: type[Task]) -> str:
    name = kind.__name__
    line = f"python -m lightning_posenc tasks {name} --n 3"
    return "" if name in OF_FILES or name == "Mixture" else md.shell(line)


def _seen(task: Task, name: str) -> list[tuple[str, str]]:
    """Samples, and its numbers."""
    length = example_length(task)
    shown = "\n\n".join(samples(task, 3, length, 0, "train"))
    torch.manual_seed(0)
    bounds = [
        f"{task.bag_of_tokens_bound(each):.3f} at length {each}"
        for each in (length * times for times in LONGER)
        if _makes(task, each)
    ]
    rows = [
        ("answers", "one a sequence" if task.kind == "sequence" else "one a token"),
        ("tokens", f"{task.vocab_size} different ones"),
        ("classes", str(task.n_classes)),
        ("shortest problem", str(task.min_length)),
        (f"tokens of a problem of {length}", str(task.width(length))),
        ("accuracy without order, at best", ", ".join(bounds)),
    ]
    asked = "Above stands what is read, below what is asked (· is not scored)."
    asked = "" if task.kind == "sequence" else f"\n\n{asked}"
    return [("", md.facts(rows)), ("Samples", f"```text\n{shown}\n```{asked}")]


def _makes(task: Task, length: int) -> bool:
    try:
        task.check_length(length)
    except ValueError:
        return False
    return True
