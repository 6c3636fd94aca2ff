"""The command `mixers`: what there is, what it costs, and which encodings it honours."""

from collections.abc import Sequence

from rich.console import Console
from rich.progress import track

from lightning_posenc.catalogue import described_mixers as described
from lightning_posenc.catalogue.described_mixers import MixerEntry
from lightning_posenc.catalogue.discovery import classes
from lightning_posenc.catalogue.listing import Row, markdown_table, show, unmade
from lightning_posenc.catalogue.options import listing_parser
from lightning_posenc.dims import Dims
from lightning_posenc.model import Mixer

COLUMNS = (
    "mixer", "paper", "time", "memory", "measured exponents", "state for decoding", "serves",
    "hooks", "oracle",
)  # fmt: skip
LEGEND = (
    "time and memory: growth with the length T, as the source says it; measured: exponents of time "
    "and memory from {from_} to {to} tokens; state: numbers that a layer remembers; oracle: the "
    "largest difference from a float64 double loop over the paper's equation. Serves: models that "
    "are causal or bidirectional; mask: who sees whom; padding: sequences of several lengths; "
    "documents: packed; cache: decoding token by token; memory: another sequence, which a decoder "
    "reads."
)
MATRIX = (
    "Each pair was run: yes, in both directions; causal or bidirectional, in that one alone; a "
    "hook's name, where a mixer cannot honour it and refuses in one line."
)


def run(args: Sequence[str]) -> None:
    """Print the mixers and the encodings that each honours.

    Raises:
        ValueError: On an unknown option, impossible sizes, or a module that is not there or has
            none of them.
    """
    parser = listing_parser(
        "mixers",
        "List the mixers: ours, or those of your own modules, as in `mixers "
        "my_package.mixers`. What each honours is found out by running it with every encoding, "
        "which takes half a minute.",
        "docs",
    )
    given = parser.parse_args(args)
    dims, modules = Dims(given.d_model, given.n_heads, 1), given.modules
    if not classes(Mixer, modules):
        raise ValueError(
            f"mixers: {' and '.join(modules)} defines no mixer: derive one from "
            "lightning_posenc.model.Mixer, or name another module"
        )
    entries = list(described.mixers(dims, modules))
    kinds = described.makeable(modules)
    console = Console(stderr=True)
    pairs = track(described.pairs(kinds), "encodings", described.n_encodings(), console=console,
                  transient=True, disable=not console.is_terminal)  # fmt: skip
    matrix = list(pairs) if kinds else []
    if given.markdown:
        print(markdown(entries, matrix))
        return
    console = Console()
    if entries:
        show(
            console,
            f"mixers, for d_model={dims.d_model}, n_heads={dims.n_heads}",
            ("mixer", "paper", "time", "memory", "state"),
            [_row(entry, n, matrix) for n, entry in enumerate(entries)],
        )
    print()
    for note in (_legend(), _left_out(modules)):
        if note:
            console.print(note, style="dim", highlight=False)


def _left_out(modules: Sequence[str]) -> str:
    made = set(described.makeable(modules))
    names = [name for name, kind in classes(Mixer, modules).items() if kind not in made]
    return unmade(names)


def _row(entry: MixerEntry, n: int, matrix: Sequence[tuple[str, list[str]]]) -> Row:
    cells = cells_of(entry)
    good = ("yes", *described.DIRECTIONS.values())
    honoured = [name for name, found in matrix if found[n] in good]
    refused = [f"{name} ({found[n]})" for name, found in matrix if name not in honoured]
    what = f"honours {len(honoured)} of {len(matrix)} encodings"
    if honoured and len(honoured) < len(refused):
        what += f": {', '.join(honoured)}"
    elif refused:
        what += f", not {', '.join(refused)}"
    paper = "" if entry.paper is None else entry.paper.name
    return Row(
        (entry.name, paper, cells[2], cells[3], entry.state),
        entry.sentence,
        f"serves {cells[6]}; hooks: {cells[7]}; {what}",
    )


def cells_of(entry: MixerEntry) -> list[str]:
    """A mixer's row, with its paper's link in Markdown."""
    growth = ("not said", "not said") if entry.growth is None else entry.growth
    return [
        entry.name,
        entry.paper.link if entry.paper else "",
        *growth,
        "not recorded" if entry.measured is None else "{:.2f}, {:.2f}".format(*entry.measured),
        entry.state,
        ", ".join(sorted(entry.serves)),
        ", ".join(sorted(entry.hooks)) or "none",
        "not recorded" if entry.error is None else f"{entry.error:.0e}",
    ]


def markdown(entries: Sequence[MixerEntry], matrix: Sequence[tuple[str, list[str]]]) -> str:
    """The table of mixers and the matrix of encodings × mixers."""
    names = [entry.name for entry in entries]
    rows = [[f"`{name}`", *rest] for name, *rest in map(cells_of, entries)]
    pairs = [[f"`{name}`", *found] for name, found in matrix]
    tables = [
        markdown_table(COLUMNS, rows),
        _legend(),
        markdown_table(("encoding", *names), pairs),
        MATRIX,
    ]
    return "\n\n".join(tables)


def _legend() -> str:
    recorded = described.records()
    said = LEGEND.format(from_=recorded["lengths"][0], to=recorded["lengths"][-1])
    return f"{said} {recorded['what']}, {recorded['machine']}, {recorded['date']}."
