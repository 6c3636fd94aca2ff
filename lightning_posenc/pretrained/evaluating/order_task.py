"""Is it known which of two came first? Looking for the question's words finds both alike.

Shapes: L lengths, N prompts of each.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.checks import several, whole
from lightning_posenc.pretrained.evaluating.prompts import Prompt, ask, in_ids, in_words

if TYPE_CHECKING:
    from lightning_posenc.pretrained.reading import Pretrained

CHANCE = 0.5  # of the choice between the two
TOWNS = (
    "Paris", "Rome", "London", "Berlin", "Madrid", "Vienna", "Moscow", "Dublin", "Athens", "Cairo",
    "Boston", "Chicago", "Sydney", "Tokyo", "Mumbai", "Lisbon",
)  # fmt: skip
QUESTIONS = ("first", "last")


class OrderScores(NamedTuple):
    """What was answered.

    Args:
        lengths: L.
        chosen: (L, N) bool, whether the right one of the two was held for likelier; CHANCE for a
            model that does not know their order.
        exact: (L, N) bool, whether greedy decoding says it.
    """

    lengths: tuple[int, ...]
    chosen: Tensor
    exact: Tensor


def order_task(
    pretrained: "Pretrained",
    lengths: Sequence[int],
    n: int = 16,
    seed: int = 0,
    in_own_ids: bool = False,
) -> OrderScores:
    """Say two things in the same words, and ask for the one that order alone tells.

    In words: "Anna travelled to Rome." and, later on, "Anna travelled to Paris.", filler before,
    between and behind; asked is the town of the first or of the last journey, in halves. Both are
    as near to the question's words, so a model that looks for those is right half of the time, and
    one that always takes the later is so too. (Another way to that end are questions and needles
    that share no words, as in NoLiMa, arXiv:2502.05167.)

    In ids, of a model without a tokenizer, or where asked: filler with `a b p x` and `b a p y` in
    it, then `a b p`. Whoever looks for p, or for a, b and p in any order, finds x and y alike.

    Args:
        pretrained: A causal language model.
        lengths: Tokens of a prompt with its answer.
        n: Prompts of each length.
        seed: Of what is drawn; the same for all lengths and models.
        in_own_ids: Whether ids are drawn though there is a tokenizer.

    Raises:
        ValueError: If a length has no room for the question.
    """
    lengths = several(order_task, "lengths", lengths)
    whole(order_task, "n", n, 2)
    answers = [
        ask(
            pretrained,
            [order_prompt(pretrained, length, i, seed * 1000 + i, in_own_ids) for i in range(n)],
        )
        for length in lengths
    ]
    return OrderScores(
        tuple(lengths),
        torch.stack([each.chosen for each in answers]),
        torch.stack([each.exact for each in answers]),
    )


def order_prompt(
    pretrained: "Pretrained", length: int, number: int, seed: int, in_own_ids: bool = False
) -> Prompt:
    """One prompt, as `order_task` has them; even numbers ask for the first, odd ones for the last.

    Raises:
        ValueError: If the length has no room for it.
    """
    worded = pretrained.tokenizer is not None and not in_own_ids
    return (_worded if worded else _drawn)(pretrained, length, number, seed)


def _worded(pretrained: "Pretrained", length: int, number: int, seed: int) -> Prompt:
    generator = torch.Generator().manual_seed(seed)
    towns = [TOWNS[i] for i in torch.randperm(len(TOWNS), generator=generator)[:2].tolist()]
    depths = torch.rand(2, generator=generator).sort().values.tolist()
    question = QUESTIONS[number % 2]
    right, wrong = towns if question == "first" else towns[::-1]
    journeys = [f"Anna travelled to {town}." for town in towns]
    needles = list(zip(depths, journeys, strict=True))
    return in_words(
        pretrained.tokenizer, length, needles,
        f"The {question} town that Anna travelled to was", right, [wrong],
    )  # fmt: skip


def _drawn(pretrained: "Pretrained", length: int, number: int, seed: int) -> Prompt:
    generator = torch.Generator().manual_seed(seed)
    size = pretrained.config.vocab_size
    whole(order_task, "vocab_size", size, 8)
    a, b, p, x, y = torch.randperm(size, generator=generator)[:5]
    filler = torch.randint(size, (length,), generator=generator)
    early, late = torch.rand(2, generator=generator).sort().values.tolist()
    facts = [torch.stack([a, b, p, x]), torch.stack([b, a, p, y])]
    if number % 2:
        facts.reverse()
    needles = [(early, facts[0]), (late, facts[1])]
    return in_ids(filler, needles, torch.stack([a, b, p]), x[None], length, (int(y),))
