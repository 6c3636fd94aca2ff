"""What a study comes to, in a few sentences."""

from lightning_posenc.extend.results import UNCHANGED, MethodRow, StudyResults
from lightning_posenc.extend.tables import said


def conclusion(results: StudyResults) -> list[str]:
    """Which method reads the target best, whether others are told from it, and what it costs."""
    ranked = results.by_loss()
    if not ranked:
        return [f"No method reads {results.target:,} tokens."]
    best = ranked[0]
    sentences = [_best(results, best)]
    if alike := _not_told_apart(results, ranked):
        sentences.append(f"Not told from it on these texts: {', '.join(alike)}.")
    if best.name != UNCHANGED:
        sentences.append(_cost(results, best))
    return sentences


def _best(results: StudyResults, best: MethodRow) -> str:
    losses = best.losses(results.target)
    assert losses is not None
    line = f"{best.name} reads {results.target:,} tokens best, at {losses.mean:.3f} nats a token"
    change = results.change(best, results.target)
    if best.name == UNCHANGED:
        return f"{line}: no method helps."
    if change is None:
        return f"{line}; unchanged, the model cannot read as many."
    return f"{line}, {said(change)} against the unchanged model."


def _not_told_apart(results: StudyResults, ranked: list[MethodRow]) -> list[str]:
    best = ranked[0].losses(results.target)
    alike = []
    for row in ranked[1:]:
        losses = row.losses(results.target)
        assert losses is not None
        assert best is not None
        if not losses.over(best).is_above:
            alike.append(row.name)
    return alike


def _cost(results: StudyResults, best: MethodRow) -> str:
    change = results.change(best, results.trained_length)
    where = f"At the trained length of {results.trained_length:,} tokens"
    if change is None:
        return f"{where} nothing was compared."
    if change.is_above:
        return f"{where} it is worse than the unchanged model by {said(change)}."
    if change.is_below:
        return f"{where} it is better than the unchanged model by {said(change)}."
    return f"{where} no loss against the unchanged model is seen: {said(change)}."
