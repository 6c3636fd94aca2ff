"""The page of a quantity that a run logs."""

import inspect
from importlib import import_module

from lightning_posenc.catalogue.pages import markdown as md
from lightning_posenc.catalogue.pages.documented import parsed
from lightning_posenc.catalogue.quantities import BETTER, OF_EVERY_RUN, OF_OTHERS, range_of
from lightning_posenc.diagnostics.metric_keys import Key
from lightning_posenc.diagnostics.quantities import MEASUREMENTS, Quantity


def slug(row: Quantity) -> str:
    """The name of its page."""
    return row.name.replace("/", "-")


def quantity_page(row: Quantity) -> str:
    """A quantity's Markdown."""
    layer = 3 if "{layer}" in row.form else None
    key = Key(row.name, layer=layer, part=1 if "{part" in row.form else None)
    how, function, beside = _measured(row)
    rows = [
        ("key", f"`{key}`"),
        ("unit", row.unit or "none"),
        ("range", range_of(row) or "any number"),
        ("better", BETTER[row.higher] or "it depends on the model"),
        ("how to read it", row.meaning),
        ("by layer", "yes: `layer_03` is layer 3, counted from 0" if layer else ""),
        ("scale of its pictures", "logarithmic" if row.log else ""),
    ]
    others = ", ".join(
        f"[{other.title}]({slug(other)}.md)" for other in beside if other.name != row.name
    )
    parts = [
        ("", f"`{row.name}`: {md.plain(row.title)}."),
        ("", md.facts(rows)),
        ("How to get it", _told(how)),
        ("Definition", _definition(function) if function else ""),
        ("Measured with it", others),
        ("See also", "[All quantities](../quantities.md), [the doctor](../diagnose.md)."),
    ]
    return md.page(row.title[:1].upper() + row.title[1:], parts)


def _measured(row: Quantity) -> tuple[str, str, tuple[Quantity, ...]]:
    for measurement in MEASUREMENTS:
        if row in measurement.quantities:
            named = f"--trainer.callbacks.measurements=[{measurement.name}]"
            how = f"`--trainer.callbacks+=Watch {named}`"
            path = measurement.function
            return how, path if isinstance(path, str) else "", measurement.quantities
    for group in (*OF_EVERY_RUN, *OF_OTHERS):
        if row in group.rows:
            return group.how, group.home, group.rows
    return "[What a run logs](../quantities.md) says who measures it.", "", ()


def _told(how: str) -> str:
    """What is typed stands in a block of its own."""
    if how.startswith("`--"):
        return f"Add to a `fit`:\n\n{md.shell(how.strip('`'))}"
    return md.shell(f"{how.strip('`')} --ckpt_path RUN") if how.startswith("`python") else how


def _definition(path: str) -> str:
    """What the module that measures says of itself, and of each of its functions."""
    home = import_module(path.rpartition(".")[0])
    said = inspect.getdoc(home) or ""
    parts = ["\n\n".join(md.plain(" ".join(each.split())) for each in said.split("\n\n"))]
    for name, function in inspect.getmembers(home, inspect.isfunction):
        if function.__module__ == home.__name__ and not name.startswith("_"):
            found = parsed(inspect.getdoc(function) or "")
            told = " ".join(map(md.plain, [found.sentence, *found.explained]))
            parts.append(f"- `{name}`: {told}")
    return "\n\n".join(parts)
