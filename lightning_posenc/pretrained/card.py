"""The model card of an extended model."""

from typing import Any

from lightning_posenc import __version__
from lightning_posenc.pretrained.methods.base import Method
from lightning_posenc.pretrained.proof import Proof
from lightning_posenc.pretrained.reading import Pretrained
from lightning_posenc.pretrained.where_positions import what_positions
from lightning_posenc.runs import strict_json

_WARNING = (
    "Servers read `config.json` in their own ways: if one shows a loss at the trained length that "
    "this table does not, compare its frequencies with those below."
)


def card(
    pretrained: Pretrained,
    method: Method,
    to: int,
    changes: dict[str, Any],
    proof: Proof,
    table: str = "",
    notes: str = "",
) -> str:
    """Say in Markdown what was done to a model, and what shows it.

    Args:
        pretrained: The model before.
        method: By which it was extended.
        to: In tokens, or pixels of a side.
        changes: Of its config.
        proof: Of the saved model.
        table: What was measured, in Markdown.
        notes: What else is said.
    """
    where = what_positions(pretrained.model)
    unit = "pixels a side" if pretrained.kind == "image" else "tokens"
    paper = f" ({method.source.link})" if method.source is not None and method.source.arxiv else ""
    summary = (type(method).__doc__ or "").strip().splitlines()[0]
    parts = [
        f"# {_base_name(pretrained.name)}, extended to {to} {unit}",
        f"Made from `{pretrained.name}` by `{method.name}`{paper}: {summary}",
        f"Trained length: {where.trained_length}, inferred from {where.inferred_from}.",
        notes,
        f"## Measured\n\n{table}" if table else "",
        f"## Changed in the config\n\n```json\n{strict_json.text(changes, indent=1)}\n```",
        "## Proof\n\n" + "\n".join(f"- {line}" for line in proof.lines()),
        _frequencies(proof),
        _WARNING if proof.after else "",
        f"Written by lightning_posenc {__version__}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _frequencies(proof: Proof) -> str:
    """Tables of the frequencies before and after."""
    tables = []
    for key, now in proof.after.items():
        rows = zip(proof.before[key].inv_freq.tolist(), now.inv_freq.tolist(), strict=True)
        lines = [
            f"Angle per token of every pair ({key}):",
            "",
            "| pair | before | after |",
            "|---|---|---|",
        ]
        lines += [f"| {i} | {was:.6g} | {new:.6g} |" for i, (was, new) in enumerate(rows)]
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def _base_name(name: str) -> str:
    return name.rstrip("/").rsplit("/", 1)[-1] or name
