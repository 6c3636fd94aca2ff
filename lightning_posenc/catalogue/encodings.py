"""The command `encodings`: list what there is."""

from collections.abc import Mapping, Sequence

from rich.console import Console

from lightning_posenc.catalogue import described
from lightning_posenc.catalogue.described import Entry, needs_only_dims
from lightning_posenc.catalogue.discovery import OURS, classes
from lightning_posenc.catalogue.listing import Row, markdown_table, show, unmade
from lightning_posenc.catalogue.options import listing_parser
from lightning_posenc.dims import Dims
from lightning_posenc.positional import PositionalEncoding
from lightning_posenc.positional.rotary.scaling import Scaling
from lightning_posenc.positions import Positions

COLUMNS = (
    "class", "paper", "hook", "parameters", "any length", "order, bidirectional", "kernel",
    "step time, NoPE = 1",
)  # fmt: skip
LEGEND = (
    "tokens: the most that it serves; order: whether a bidirectional model tells a sequence from "
    "its reverse; step: time of a training step, NoPE = 1; kernel: the fastest of a causal model."
)


def run(args: Sequence[str]) -> None:
    """Print the encodings, the samplers of positions and the scalings of RoPE.

    Raises:
        ValueError: On an unknown option, impossible sizes, or a module that is not there or has
            none of them.
    """
    parser = listing_parser(
        "encodings",
        "List the encodings, samplers of positions and scalings: ours, or those of "
        "your own modules, as in `encodings my_package.encodings`. All that is said of a class is "
        "found out by making and running it.",
        "docs/catalogue.md",
    )
    parser.add_argument("--n_layers", type=int, default=6, help="layers (6)")
    given = parser.parse_args(args)
    dims, modules = Dims(given.d_model, given.n_heads, given.n_layers), given.modules
    kinds = [classes(base, modules) for base in (PositionalEncoding, Positions, Scaling)]
    if not any(kinds):
        raise ValueError(
            f"encodings: {' and '.join(modules)} defines no encoding, sampler of positions or "
            "scaling: derive one from lightning_posenc.positional.PositionalEncoding, or name "
            "another module"
        )
    if given.markdown:
        print(markdown(dims, modules))
        return
    console = Console()
    entries = list(described.encodings(dims, modules))
    if entries:
        show(
            console,
            f"encodings, for d_model={dims.d_model}, n_heads={dims.n_heads}, "
            f"n_layers={dims.n_layers}",
            ("class", "paper", "parameters", "tokens", "order", "step"),
            [_row(entry) for entry in entries],
        )
    for what, found in (
        ("positions (--model.positions=...)", described.samplers(modules)),
        ("scalings of RoPE (--model.positional.scaling=...)", described.scalings(modules)),
    ):
        rows = [Row((name, source.name if source else ""), line) for name, line, source in found]
        if rows:
            show(console, what, ("class", "paper"), rows)
    print()
    for note in (LEGEND, measured(entries), _left_out(kinds[0])):
        if note:
            console.print(note, style="dim", highlight=False)


def _left_out(kinds: Mapping[str, type]) -> str:
    """Which encodings are made of more than dims, so that nobody can describe them unasked."""
    names = [name for name, kind in kinds.items() if not needs_only_dims(kind)]
    return unmade(names)


def _row(entry: Entry) -> Row:
    _, _, hooks, parameters, _, order, kernel, cost = cells(entry)
    paper = "" if entry.paper is None else entry.paper.name
    return Row(
        (entry.name, paper, parameters, entry.length, order, cost),
        entry.sentence,
        f"hooks: {hooks}; kernel: {kernel}",
    )


def cells(entry: Entry) -> list[str]:
    """An encoding's row, with its paper's link in Markdown."""
    return [
        entry.name,
        entry.paper.link if entry.paper else "",
        ", ".join(entry.hooks) or "none",
        f"{entry.parameters:,}" if entry.parameters else "0",
        "yes" if entry.length == "any" else f"up to {entry.length}",
        entry.order,
        entry.kernel,
        "not recorded" if entry.cost is None else f"{entry.cost:.2f}",
    ]


def markdown(dims: Dims, modules: Sequence[str] = (OURS,)) -> str:
    """The three tables as Markdown, those that have rows."""
    entries = list(described.encodings(dims, modules))
    tables = (
        [markdown_table(COLUMNS, [_code(cells(entry)) for entry in entries])] if entries else []
    )
    for what, found in (
        ("positions", described.samplers(modules)),
        ("scaling of RoPE", described.scalings(modules)),
    ):
        rows = [_code([name, line, source.link if source else ""]) for name, line, source in found]
        if rows:
            tables.append(markdown_table((what, "what it does", "paper"), rows))
    return "\n\n".join([*tables, measured(entries)])


def measured(entries: Sequence[Entry]) -> str:
    """How the costs came about, of those that were measured."""
    costs = described.costs()
    said = f"Cost: {costs['what']}, {costs['machine']}, {costs['date']}."
    if all(entry.cost is None for entry in entries):
        return "Cost: none is recorded of these classes."
    return said


def _code(row: list[str]) -> list[str]:
    return [f"`{row[0]}`", *row[1:]]
