"""A search for the factor of every frequency, scored by whoever asks for it.

Shapes: n pairs of channels that turn.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.runs import strict_json
from lightning_posenc.runs.untrusted import read_json
from lightning_posenc.runs.whole_files import write_whole

STEP = 0.01  # of factors: they are whole multiples of it
BEYOND = 1.25  # times the extension is the largest factor

_SURVIVE = 4  # best candidates that others are made from
_MUTATED = 0.3  # share of the factors that a mutation draws anew
_TRIES = 100  # to find a candidate that was not scored yet


class SearchedFactors(NamedTuple):
    """The best of all candidates.

    Args:
        factors: (n,), not falling, float64.
        loss: Its score.
        scored: How many candidates were.
    """

    factors: Tensor
    loss: float
    scored: int


def search(
    score: Callable[[Tensor], float],
    starts: Sequence[Tensor],
    factor: float,
    evaluations: int,
    seed: int = 0,
    memory: Path | None = None,
    question: Any = None,
) -> SearchedFactors:
    """Search for the factors with the least loss: first the given ones, then their descendants.

    Factors never fall from one pair to the next slower one, and lie in [1, 1.25 · factor]. Every
    next candidate is a mutation of one of the best four (three factors in ten drawn anew between
    their neighbours) or a crossing of two of them. Which one depends on the seed and the scores
    alone, so that a search whose scores are in `memory` goes on where it was. After Ding et al.
    2024, "LongRoPE", arXiv:2402.13753, section 3.2 and its monotone constraint; deviation: one
    candidate at a time in place of generations.

    Args:
        score: Gives the loss of factors (n,); NaN is worse than all others.
        starts: Factors to start from, each (n,).
        factor: How many times longer sequences become, at least 1.
        evaluations: Candidates to score, at least 1.
        seed: Of mutations and crossings.
        memory: File of the scores so far; None keeps none.
        question: What the scores in it depend on, as JSON holds it.

    Raises:
        ValueError: If the memory is of another search.
    """
    asked = {"question": question, "factor": factor, "seed": seed, "pairs": len(starts[0])}
    known = _read(memory, asked)
    generator = torch.Generator().manual_seed(seed)
    most = round(BEYOND * factor / STEP)
    waiting = [_in_steps(start, most) for start in starts]
    scored: dict[tuple[int, ...], float] = {}
    while len(scored) < evaluations:
        candidate = waiting.pop(0) if waiting else _next(scored, most, generator)
        if candidate is None:
            break  # all neighbours are known
        if candidate in scored:
            continue
        name = " ".join(map(str, candidate))
        if name not in known:
            known[name] = score(_factors(candidate))
            _write(memory, asked, known)
        found = known[name]
        # JSON has no NaN, and nothing is worse.
        scored[candidate] = float("inf") if found is None or found != found else found
    best = min(scored, key=lambda each: scored[each])
    return SearchedFactors(_factors(best), scored[best], len(scored))


def _factors(candidate: tuple[int, ...]) -> Tensor:
    return torch.tensor(candidate, dtype=torch.float64) * STEP


def _in_steps(factors: Tensor, most: int) -> tuple[int, ...]:
    steps = (factors.double() / STEP).round().clamp(round(1 / STEP), most)
    return tuple(int(each) for each in steps.cummax(0).values)


def _next(
    scored: dict[tuple[int, ...], float], most: int, generator: torch.Generator
) -> tuple[int, ...] | None:
    """A candidate that was not scored; None if none is found."""
    best = sorted(scored, key=lambda each: scored[each])[:_SURVIVE]
    for _ in range(_TRIES):
        parent = best[_draw(len(best), generator)]
        if len(best) > 1 and _draw(2, generator):
            child = _crossed(parent, best[_draw(len(best), generator)], generator)
        else:
            child = _mutated(parent, most, generator)
        if child not in scored:
            return child
    return None


def _mutated(parent: tuple[int, ...], most: int, generator: torch.Generator) -> tuple[int, ...]:
    """Draw factors anew, each between its neighbours, which keeps the order."""
    child = list(parent)
    for i in range(len(child)):
        if torch.rand((), generator=generator) < _MUTATED:
            low = child[i - 1] if i else round(1 / STEP)
            high = child[i + 1] if i + 1 < len(child) else most
            child[i] = low + _draw(high - low + 1, generator)
    return tuple(child)


def _crossed(
    one: tuple[int, ...], other: tuple[int, ...], generator: torch.Generator
) -> tuple[int, ...]:
    """Take every factor from one or the other parent; what then falls is raised."""
    child, last = [], 0
    for pair in zip(one, other, strict=True):
        last = max(last, pair[_draw(2, generator)])
        child.append(last)
    return tuple(child)


def _draw(n: int, generator: torch.Generator) -> int:
    return int(torch.randint(n, (), generator=generator))


def _read(memory: Path | None, asked: dict[str, Any]) -> dict[str, float | None]:
    if memory is None or not memory.exists():
        return {}
    held = read_json(memory)
    if not isinstance(held, dict) or held.get("of") != asked or "losses" not in held:
        raise ValueError(f"{memory} holds another search: remove it, or name another file")
    return dict(held["losses"])


def _write(memory: Path | None, asked: dict[str, Any], known: dict[str, float | None]) -> None:
    if memory is not None:
        write_whole(memory, strict_json.text({"of": asked, "losses": known}, indent=1) + "\n")
