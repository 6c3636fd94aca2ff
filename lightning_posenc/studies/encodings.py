"""The command `encodings`: list what there is."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from lightning_posenc.dims import Dims
from lightning_posenc.studies import catalogue
from lightning_posenc.studies.arguments import Parser
from lightning_posenc.studies.catalogue import Entry

COLUMNS = (
    "class", "paper", "hook", "parameters", "any length", "order, bidirectional", "kernel",
    "step time, NoPE = 1",
)  # fmt: skip


def run(args: Sequence[str]) -> None:
    """Print the encodings, the samplers of positions and the scalings of RoPE.

    Raises:
        ValueError: On an unknown option or impossible sizes.
    """
    parser = Parser("encodings", description=__doc__)
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
    rows = [[entry.paper.name if i == 1 else cell for i, cell in enumerate(cells(entry))]
            for entry in catalogue.encodings(dims)]  # fmt: skip
    title = f"encodings, for d_model={dims.d_model}, n_heads={dims.n_heads}, n_layers="
    console.print(_table(f"{title}{dims.n_layers}", COLUMNS, rows))
    for what, found in (
        ("positions (--model.positions=…)", catalogue.samplers()),
        ("scalings of RoPE (--model.positional.scaling=…)", catalogue.scalings()),
    ):
        console.print(
            _table(
                what,
                ("class", "what", "paper"),
                [[name, line, source.name if source else ""] for name, line, source in found],
            )
        )
    console.print(measured(), style="dim")


def cells(entry: Entry) -> list[str]:
    """An encoding's row, with its paper's link in Markdown."""
    return [
        entry.name,
        entry.paper.link,
        ", ".join(entry.hooks) or "none",
        f"{entry.parameters:,}" if entry.parameters else "0",
        "yes" if entry.length == "any" else f"up to {entry.length}",
        entry.order,
        entry.kernel,
        "" if entry.cost is None else f"{entry.cost:.2f}",
    ]


def markdown(dims: Dims) -> str:
    """The three tables as Markdown."""
    lines = _markdown(COLUMNS, [_code(cells(entry)) for entry in catalogue.encodings(dims)])
    for what, found in (
        ("positions", catalogue.samplers()),
        ("scaling of RoPE", catalogue.scalings()),
    ):
        rows = [_code([name, line, source.link if source else ""]) for name, line, source in found]
        lines += ["", *_markdown((what, "what it does", "paper"), rows)]
    return "\n".join([*lines, "", measured()])


def measured() -> str:
    """How the costs came about."""
    costs = catalogue.costs()
    return f"Cost: {costs['what']}, {costs['machine']}, {costs['date']}."


def _code(row: list[str]) -> list[str]:
    return [f"`{row[0]}`", *row[1:]]


def _markdown(header: Sequence[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in [list(header), ["---"] * len(header), *rows]]


def _table(title: str, header: Sequence[str], rows: list[list[str]]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for place, name in enumerate(header):  # a name that is cut is no name to type
        table.add_column(name, overflow="fold", no_wrap=place == 0)
    for row in rows:
        table.add_row(*row)
    return table
