"""What stands on the page of a study: its tables, and what to do next."""

import shlex
from argparse import Namespace
from collections.abc import Sequence

from lightning_posenc.extend import tables
from lightning_posenc.extend.conclusion import conclusion
from lightning_posenc.extend.contenders import Contender
from lightning_posenc.extend.page import StudyPage
from lightning_posenc.extend.results import UNCHANGED, StudyResults
from lightning_posenc.pretrained.doubts import doubts
from lightning_posenc.pretrained.reading import Pretrained
from lightning_posenc.pretrained.telling import told
from lightning_posenc.pretrained.where_positions import what_positions

COMMAND = "The command"
PROGRAM = ("python", "-m", "lightning_posenc", "extend")


def page_of(
    given: Namespace,
    args: Sequence[str],
    pretrained: Pretrained,
    contenders: Sequence[Contender],
    found: StudyResults,
    left_out: dict[str, str],
) -> StudyPage:
    """Make the page.

    Args:
        given: The options, as `parsed` gives them.
        args: The same, as they were typed.
        pretrained: As it was read.
        contenders: All rows that were asked for.
        found: What is known of them.
        left_out: Why something is not, by name.
    """
    shown = [
        tables.summary(found),
        tables.by_length(found),
        tables.last_tokens(found),
        tables.passkey(found),
        tables.order(found),
        tables.left_out(left_out),
    ]
    if len(found.texts) > 1:
        shown += [tables.by_length(found, text) for text in found.texts]
    steps = next_steps(given, args, pretrained, contenders, found)
    return StudyPage(
        title=f"{pretrained.name}: {found.trained_length:,} to {found.target:,} tokens",
        conclusion=conclusion(found),
        about=[_size(pretrained), *_positions(pretrained), *_doubted(pretrained)],
        tables=[each for each in shown if each is not None],
        left_out=_by_reason(left_out),
        next_steps={COMMAND: shlex.join([*PROGRAM, *args]), **steps},
    )


def _size(pretrained: Pretrained) -> str:
    n = sum(parameter.numel() for parameter in pretrained.model.parameters())
    return f"{type(pretrained.model).__name__}, {n:,} parameters"


def _by_reason(left_out: dict[str, str]) -> list[str]:
    """Each reason once, behind all the methods that have it."""
    names: dict[str, list[str]] = {}
    for name, why in left_out.items():
        names.setdefault(why, []).append(name)
    return [f"{', '.join(each)}: {why}" for why, each in names.items()]


def _positions(pretrained: Pretrained) -> list[str]:
    """How it knows order, and how its trained length was inferred."""
    found = told(what_positions(pretrained.model))
    return [f"{each.about}: {each.sentence}" for each in found]


def _doubted(pretrained: Pretrained) -> list[str]:
    """What the folder's config says of positions and does not do, if anything."""
    found = doubts(pretrained.model, pretrained.contents)
    return [f"{each.name}: {each.sentence}" for each in found if each.grade != "note"]


def next_steps(
    given: Namespace,
    args: Sequence[str],
    pretrained: Pretrained,
    contenders: Sequence[Contender],
    found: StudyResults,
) -> dict[str, str]:
    """The command that saves what reads the target best, of what is better than unchanged."""
    by_name = {each.name: each for each in contenders}
    for row in [] if given.save else found.by_loss():
        best = by_name[row.name]
        if best.name == UNCHANGED:
            break
        if best.cannot_be_saved(pretrained, given.to) is not None:
            continue
        if best.needs_text:  # or what was trained, which lies with the study
            options = [*args] if given.method == best.of else [*args, "--method", best.of]
        else:
            options = ["--hf", given.hf, *(["--gguf", given.gguf] if given.gguf else [])]
            options += ["--to", str(given.to), "--method", best.of]
        return {f"To save {best.name}": shlex.join([*PROGRAM, *options, "--save", "DIR"])}
    return {}
