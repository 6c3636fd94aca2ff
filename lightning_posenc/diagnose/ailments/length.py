"""What happens at lengths that training never saw?"""

from lightning_posenc.diagnose.ailments.base import (
    Ailment,
    Finding,
    Remedy,
    accuracy,
    healthy,
    ill,
    is_trained,
    learned,
    not_applicable,
    not_judged,
    unmeasured,
    watch,
)
from lightning_posenc.diagnose.examination import Examination
from lightning_posenc.diagnose.language import Language

UNTRAINED = 0.1  # share of the entries used at a tested length that training never reaches
IDLE = 0.02  # share of all entries
ROOM = 4  # times the trained length
HARM = 0.1  # nats that context beyond the trained length adds
KEPT = 0.9  # of the score at the trained length, above the bound: what counts as working
TRAINED_ROWS, UNTRAINED_ROWS = 0.3, 0.1  # cosines of neighbouring rows
GROWN = 1.25  # times the size of untrained rows, that trained ones have
EVEN = 0.1  # spread of the sizes of windows of rows as they were drawn


def _untrained_rows(e: Examination) -> Finding:
    tables = e.tables
    if not tables.entries:
        return not_applicable("there is no learned table")
    remedies = _any_length(e) if e.is_own else _extend()
    if not e.is_own:
        rows = tables.neighbours
        if (first := _fresh_from(rows, tables.sizes)) is not None:
            return ill(
                f"from about row {16 * first} on rows are untrained: unrelated, of one size, and "
                "smaller than those before",
                *remedies,
                size_of_rows=tables.sizes,
            )
        if not rows or max(rows) < TRAINED_ROWS:
            return not_judged("no rows of the table look alike, as trained neighbours do")
        last = max(i for i, cosine in enumerate(rows) if cosine >= TRAINED_ROWS)
        if rows[last + 1 :] and max(rows[last + 1 :]) < UNTRAINED_ROWS:
            return ill(
                f"neighbouring rows are alike up to about row {16 * (last + 1)} and unrelated "
                "beyond: these look untrained",
                *remedies,
                cosine_of_neighbouring_rows=rows,
            )
        return healthy("neighbouring rows are alike all along", cosine_of_neighbouring_rows=rows)
    asked = {n: share for n, share in tables.used.items() if n in e.lengths.asked}
    worst = max(asked.values(), default=0.0)
    said = f"training never reaches {tables.idle:.0%} of {tables.entries:,} positional parameters"
    if worst >= UNTRAINED:
        length = max(asked, key=lambda n: asked[n])
        return ill(
            f"at the tested length {length}, {worst:.0%} of what is used was never trained",
            *remedies,
        )
    if tables.idle > IDLE:
        return watch(
            f"{said}: a longer sequence would read numbers that nothing trained", *remedies
        )
    return healthy(said)


def _fresh_from(cosines: list[float], sizes: list[float]) -> int | None:
    """The window from which on rows look as they were drawn, and no window before it does."""
    for first in range(1, len(sizes)):
        before, tail = sizes[:first], sizes[first:]
        even = max(tail) <= (1 + EVEN) * min(tail)
        unrelated = max(cosines[first : len(sizes)]) < UNTRAINED_ROWS
        if even and unrelated and min(before) >= GROWN * max(tail):
            return first
    return None


def _hard_maximum(e: Examination) -> Finding:
    limit, lengths = e.lengths.limit, e.lengths
    if limit is None:
        return healthy("any length is served")
    if not e.is_own:
        if not e.tables.entries:
            return healthy(f"its config names {limit} tokens, but no table of positions ends there")
        return watch(f"its table of positions ends at {limit} tokens", *_extend())
    if e.grid is None:
        now = e.length
        said = (
            f"sequences of up to {limit} tokens are served, {limit / max(now, 1):.3g} times as "
            f"long as those of training ({now})"
        )
    else:
        now = max(e.grid)
        said = (
            f"grids of up to {limit} rows and columns are served, {limit / now:.3g} times as many "
            f"as those of training ({now})"
        )
    if any(length in lengths.asked for length in lengths.refused):
        refused = ", ".join(map(str, lengths.refused))
        return ill(f"{said}; length {refused} was refused", *_any_length(e))
    if limit < ROOM * now:
        return watch(said, *_any_length(e))
    return healthy(said)


def _fails_longer(e: Examination) -> Finding:
    lengths, reached = e.lengths, accuracy(e)
    if e.language is not None:
        return _loss_longer(e, e.language)
    if reached is None:
        return unmeasured(e, "there are no targets to score")
    if is_trained(e) is False:
        return not_judged("untrained: there is no score to hold")
    if not learned(e) and e.evaluation is not None:
        return not_judged(f"there is no score to hold at the trained length, {reached:.2f}: see 16")
    longer = {n: score for n, score in lengths.accuracy.items() if n > lengths.trained}
    if not longer and (refused := [n for n in lengths.refused if n > lengths.trained]):
        return not_judged(f"longer ones are refused, {', '.join(map(str, refused))}: see 5")
    if not longer:
        return not_judged("the data gave no longer sequences")
    floor = lengths.bound or 0.0
    kept = {n: (score - floor) / max(reached - floor, 1e-9) for n, score in longer.items()}
    failing = [n for n, share in sorted(kept.items()) if share < KEPT]
    scores = ", ".join(f"{score:.2f} at {n}" for n, score in sorted(lengths.accuracy.items()))
    said = f"trained at {lengths.trained}; accuracy {scores}"
    if not failing:
        return healthy(f"holds at every length that was tried: {said}")
    found = ill if any(n in lengths.asked for n in failing) else watch
    return found(f"fails from length {failing[0]} on: {said}", *_any_length(e))


def _loss_longer(e: Examination, found: Language) -> Finding:
    """Of a language model: the same tokens, with more context than the trained length."""
    trained = e.positions.trained_length if e.positions else None
    if not found.by_context:
        why = found.without.get("effective context", "its loss was not measured")
        return not_judged(why)
    shown = {"loss_by_context": [each.mean for each in found.by_context.values()]}
    if trained is None:
        return not_judged("the trained length is not known", **shown)
    longest = max(found.by_context)
    said = f"trained at {trained:,}; the last {found.n_last} tokens cost " + ", ".join(
        f"{loss.mean:.3f} nats given {n:,}" for n, loss in found.by_context.items()
    )
    if longest <= trained:
        return not_judged(f"{said}: longer ones are asked for with --length", **shown)
    harm = sum(-gain.mean for n, gain in found.gains.items() if n > trained)
    certain = any(gain.is_below for n, gain in found.gains.items() if n > trained)
    if certain and harm > HARM:
        return ill(f"beyond the trained length context does harm: {said}", *_extend(), **shown)
    if certain:
        return watch(said, *_extend(), **shown)
    return healthy(f"holds at every length that was tried: {said}", **shown)


def _extend() -> tuple[Remedy, ...]:
    return (Remedy("", "`extend --hf … --to N` compares what makes it longer, and saves the best"),)


def _any_length(e: Examination) -> tuple[Remedy, ...]:
    longest = max(4 * e.length, 2 * max(e.lengths.tokens.values(), default=e.length))
    longest = min(longest, e.lengths.limit or longest)
    spread = Remedy(
        f"--model.positions=Randomized --model.positions.max_position={longest}",
        "train with positions as large as longer sequences have",
    )
    return (
        *((spread,) if longest > e.length else ()),
        Remedy("--model.positional=ALiBi", "no table, and a bias that goes on with distance"),
        Remedy("--model.positional=T5Bias", "far distances share a bucket"),
    )


UNTRAINED_ROWS_USED = Ailment(
    4,
    "learned table with untrained rows",
    "rows of the table are trained",
    "Sequences longer than those of training use entries that still are as they were drawn.",
    _untrained_rows,
)
HARD_MAXIMUM = Ailment(
    5,
    "hard maximum length",
    "room for longer sequences",
    "Longer sequences cannot be served at all.",
    _hard_maximum,
)
FAILS_LONGER = Ailment(
    11,
    "fails past the trained length",
    "works past the trained length",
    "What was learned does not carry over to longer sequences.",
    _fails_longer,
)
