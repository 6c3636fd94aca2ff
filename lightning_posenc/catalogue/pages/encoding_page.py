"""The page of an encoding."""

from functools import partial
from typing import Any

from lightning_posenc.catalogue.described import Entry, describe, needs_only_dims
from lightning_posenc.catalogue.listing import markdown_table
from lightning_posenc.catalogue.pages import markdown as md
from lightning_posenc.catalogue.pages.documented import documented
from lightning_posenc.catalogue.pages.effects import Effect, effect
from lightning_posenc.catalogue.pages.examples import code_of, command_of, places_of, ran
from lightning_posenc.catalogue.pages.pictures import of_encoding
from lightning_posenc.catalogue.pages.recorded import WrittenDown, of_class
from lightning_posenc.dims import Dims
from lightning_posenc.positional import PositionalEncoding

DIMS = Dims(256, 4, 6)
GOOD = ("yes", "causal", "bidirectional")
SHOWN = (
    "A {kind} model of width 256 with 4 heads. Queries and keys are ones, tokens are random, "
    "parameters are as they start (seed 0). Blue takes away, red adds, white does nothing{hidden}."
)
KERNELS = {
    "SDPA flash, Flex": "the fast kernels of torch (flash attention)",
    "SDPA, fixed bias; Flex": "SDPA with a bias",
    "SDPA, learned bias": "SDPA with a bias that learns or reads the tokens",
    "eager": "none of the fast ones: all logits are written out",
}


def encoding_page(
    kind: type[PositionalEncoding], entry: Entry | None, recorded: WrittenDown
) -> tuple[str, bytes | None]:
    """Its Markdown, and the picture that it shows as `<name>.png`.

    Args:
        kind: The class.
        entry: What is found out of it; None to find it out.
        recorded: What benchmarks wrote down.
    """
    name, said = kind.__name__, documented(kind)
    if entry is None and needs_only_dims(kind):
        entry = describe(kind, DIMS)
    seen = effect(made(kind))
    picture = of_encoding(seen)
    shown = (
        f"{md.picture('What is added by', name)}\n\n{_caption(seen)}" if picture else _nothing(seen)
    )
    parts = [
        ("", md.plain(said.sentence)),
        ("", md.equation(kind.equation)),
        ("", "\n\n".join(map(md.plain, said.explained))),
        ("", _facts(entry)),
        ("What it adds", shown),
        ("Use it", f"{md.python(code_of(kind))}\n\n{_in_a_config(kind)}"),
        ("Options", md.options(kind, said)),
        ("Source", md.sourced(kind.source, said)),
        ("Deviations", md.plain(said.deviations)),
        ("When it refuses", md.refusals(said)),
        ("How exact it is", _exact(name, recorded)),
        ("Where it breaks", _limits(kind, entry, recorded)),
        ("In the reference", f"[`{name}`][{kind.__module__}.{name}]"),
    ]
    return md.page(name, parts), picture


def made(kind: type[PositionalEncoding]) -> Any:
    """A factory of it, with the options that its page shows."""
    if needs_only_dims(kind):
        return partial(kind, **kind.shows_with)
    code = code_of(kind)
    expression = code.split("positional=")[1].split(")\nstates")[0]
    imports = code.split("\n\n")[0]
    return ran(f"{imports}\nmade = {expression}")["made"]


def _caption(seen: Effect) -> str:
    hidden = "; the empty corner is the future, which is hidden" if seen.causal else ""
    return SHOWN.format(kind="causal" if seen.causal else "bidirectional", hidden=hidden)


def _nothing(seen: Effect) -> str:
    assert seen.stream is None
    return "Nothing, to the stream or to a logit."


def _facts(entry: Entry | None) -> str:
    if entry is None:
        return ""
    rows = [
        ("changes", ", ".join(f"`{hook}`" for hook in entry.hooks) or "nothing"),
        ("parameters", f"{entry.parameters:,} for width 256, 4 heads, 6 layers"),
        ("longest", "any length" if entry.length == "any" else f"{entry.length} positions"),
        ("tells order, bidirectional", entry.order),
        ("kernel", KERNELS[entry.kernel]),
        ("training step", f"{entry.cost:.2f} of one without position" if entry.cost else ""),
        ("paper", entry.paper.link if entry.paper else ""),
    ]
    return md.facts(rows)


def _in_a_config(kind: type[PositionalEncoding]) -> str:
    line = command_of(kind)
    return f"On the command line:\n\n{md.shell(line)}" if line else ""


def _exact(name: str, recorded: WrittenDown) -> str:
    """Errors against the oracle, others' code, and in half precision."""
    parts = []
    if rows := of_class(recorded.oracles, name, 1):
        shown = [[case, source, error] for case, _, _, source, error in rows]
        parts.append(markdown_table(("case", "held to, in float64", "largest error"), shown))
    if rows := of_class(recorded.peers, name):
        parts.append(
            markdown_table(("other library", "largest difference"), [row[1:] for row in rows])
        )
    half = [row for row in of_class(recorded.half, name) if row[0] == f"`{name}`"]
    if half and len(half[0]) == 5 and half[0][4]:
        _, short, _, long, aliased = half[0]
        parts.append(
            f"In bfloat16 outputs of size 1 are off by {short} at 4,096 positions and by {long} "
            f"at 32,768 (rounding alone: 3.9e-03). There {aliased} neighbours look the same."
        )
    return "\n\n".join([*parts, "[How this is measured](../encodings.md)."]) if parts else ""


def _limits(kind: type[PositionalEncoding], entry: Entry | None, recorded: WrittenDown) -> str:
    name = kind.__name__
    lines = [] if entry else ["It has the limits of the encodings that it is made of."]
    if entry is not None and entry.length != "any":
        lines.append(f"It serves {entry.length} positions. It refuses the next one.")
    if entry is not None and entry.order == "causal only":
        lines.append("It refuses a bidirectional model.")
    if entry is not None and entry.order == "no":
        lines.append("It does not tell a bidirectional model any order.")
    if entry is not None and entry.kernel == "eager":
        lines.append("It needs all logits at once: memory grows with the square of the length.")
    if wants := _axes(kind):
        lines.append(wants)
    if name in recorded.accuracy:
        scores = recorded.accuracy[name]
        at = ", ".join(
            f"{score:.2f} at {length}"
            for length, score in zip(recorded.lengths, scores, strict=True)
            if length >= 32
        )
        lines.append(f"Trained at 32 tokens to say the token three steps back, it scores {at}.")
    for row in of_class(recorded.pairs, name):
        refused = [
            f"[{mixer}](../mixers/{mixer}.md)"
            for mixer, found in zip(recorded.mixers, row[1:], strict=True)
            if found not in GOOD
        ]
        if refused:
            lines.append(f"These mixers do not honour it: {', '.join(refused)}.")
    return "\n".join(f"- {line}" for line in lines)


def _axes(kind: type[PositionalEncoding]) -> str:
    where = places_of(kind)
    if where.startswith("Grid"):
        return "Its tokens stand on a grid: take the positions [Grid](../samplers/Grid.md)."
    if where:
        return "Its tokens are nodes of a graph: take [Graph](../samplers/Graph.md)."
    return ""
