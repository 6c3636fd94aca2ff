"""What the page says of how another package's model knows order: rows of a name and a finding."""

from lightning_posenc.diagnose.whereabouts import PaddingEffect, Whereabouts

TITLE = "How it knows order"
SIGNS = {"ill": "✖", "watch": "!", "note": "·"}


def rows(found: Whereabouts) -> list[tuple[str, str]]:
    """How it knows order, whether files and model agree, and what changes of positions do."""
    said = [(about, sentence) for about, sentence in found.told]
    if found.applied is not None:
        said.append(("was a scaling applied?", found.applied))
        if not found.doubts:
            said.append(("files and model", "agree: it turns as its config says"))
    said += [(f"{SIGNS[each.grade]} {each.name}", each.sentence) for each in found.doubts]
    return [*said, *_tried(found)]


def _tried(found: Whereabouts) -> list[tuple[str, str]]:
    said = []
    if found.felt is not None:
        said.append(("positions shuffled", f"answers move by {found.felt:.2g} of their spread"))
    if found.padding is not None:
        said.append((f"padding on the {found.padding.side}", _padding(found.padding)))
    if found.loss is not None and found.gains:
        best = found.gains[0]
        change = best.nats.mean
        said.append(
            ("other positions, on the text",
             f"{len(found.gains)} tried; the best of them, {best.change}, "
             f"{'lowers' if change > 0 else 'raises'} the loss of {found.loss:.3g} by "
             f"{abs(change):.2g} nats")
        )  # fmt: skip
    return said


def _padding(found: PaddingEffect) -> str:
    moved = f"answers at real tokens move by {found.change:.1g} of their spread"
    if not found.read:
        return moved
    return f"{moved}, by {found.read:.1g} when other tokens pad"
