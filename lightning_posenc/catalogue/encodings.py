"""The command `encodings`: list what there is."""

from collections.abc import Sequence

from rich.console import Console

from lightning_posenc.catalogue import described
from lightning_posenc.catalogue.described import Entry
from lightning_posenc.catalogue.listing import Row, show
from lightning_posenc.dims import Dims
from lightning_posenc.mistakes.arguments import OneLineParser

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
        ValueError: On an unknown option or impossible sizes.
    """
    parser = OneLineParser(
        "encodings", description="List the encodings, samplers of positions and scalings."
    )
    parser.add_argument("--d_model", type=int, default=256, help="width (256)")
    parser.add_argument("--n_heads", type=int, default=4, help="heads (4)")
    parser.add_argument("--n_layers", type=int, default=6, help="layers (6)")
    parser.add_argument("--markdown", action="store_true", help="print Markdown, as in the README")
    given = parser.parse_args(args)
    dims = Dims(given.d_model, given.n_heads, given.n_layers)
    if given.markdown:
        print(markdown(dims))
        return
    console = Console()
    show(
        console,
        f"encodings, for d_model={dims.d_model}, n_heads={dims.n_heads}, n_layers={dims.n_layers}",
        ("class", "paper", "parameters", "tokens", "order", "step"),
        [_row(entry) for entry in described.encodings(dims)],
    )
    for what, found in (
        ("positions (--model.positions=...)", described.samplers()),
        ("scalings of RoPE (--model.positional.scaling=...)", described.scalings()),
    ):
        rows = [Row((name, source.name if source else ""), line) for name, line, source in found]
        show(console, what, ("class", "paper"), rows)
    print()
    for note in (LEGEND, measured()):
        console.print(note, style="dim", highlight=False)


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
        "" if entry.cost is None else f"{entry.cost:.2f}",
    ]


def markdown(dims: Dims) -> str:
    """The three tables as Markdown."""
    lines = _markdown(COLUMNS, [_code(cells(entry)) for entry in described.encodings(dims)])
    for what, found in (
        ("positions", described.samplers()),
        ("scaling of RoPE", described.scalings()),
    ):
        rows = [_code([name, line, source.link if source else ""]) for name, line, source in found]
        lines += ["", *_markdown((what, "what it does", "paper"), rows)]
    return "\n".join([*lines, "", measured()])


def measured() -> str:
    """How the costs came about."""
    costs = described.costs()
    return f"Cost: {costs['what']}, {costs['machine']}, {costs['date']}."


def _code(row: list[str]) -> list[str]:
    return [f"`{row[0]}`", *row[1:]]


def _markdown(header: Sequence[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in [list(header), ["---"] * len(header), *rows]]
