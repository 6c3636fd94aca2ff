"""Questions with one right answer, hidden in filler, and whether a model gives it.

Shapes: N prompts, T tokens, t places, V symbols.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.pretrained.evaluating.logits import NUMBERS, logits_by_rows

if TYPE_CHECKING:
    from lightning_posenc.pretrained.reading import Pretrained

FILLER = (
    "The harbour was quiet that morning.",
    "A few boats lay at the quay, and nobody was about.",
    "It had rained during the night.",
    "The baker opened his shutters and swept the step.",
    "Somewhere a dog barked and was silent again.",
    "Clouds moved slowly over the hills.",
    "The bell of the church struck the hour.",
)
TOKENS = 8192  # at a time


class Prompt(NamedTuple):
    """A question, its answer at the end.

    Args:
        tokens: (T,) ids, the answer's among them.
        n_answer: How many of the last ones are the answer.
        wrong: Of other answers the first id that is unlike the right one's there; may be empty.
        shared: How many tokens right and wrong answers begin with in common, such as a space.
    """

    tokens: Tensor
    n_answer: int
    wrong: tuple[int, ...] = ()
    shared: int = 0

    @property
    def right(self) -> int:
        """The id of the right answer at which `wrong` have theirs."""
        return int(self.tokens[self.shared - self.n_answer])


class PromptAnswers(NamedTuple):
    """What a model makes of N prompts.

    Args:
        exact: (N,) bool, whether every token of the answer is the likeliest one: with the true
            tokens before it, which is the same as by greedy decoding, for at the first mistake both
            have failed.
        chosen: (N,) bool, whether the answer's first token that others do not share is likelier
            than that of any wrong answer; True where there are none.
    """

    exact: Tensor
    chosen: Tensor


def ask(pretrained: "Pretrained", prompts: Sequence[Prompt]) -> PromptAnswers:
    """Ask a causal language model. Only the answers' logits are computed.

    Raises:
        ValueError: If the model is of another kind.
    """
    if pretrained.kind != "causal" or not pretrained.has_head:
        raise ValueError(
            f"{pretrained.name}: a question is asked of a causal language model with its head"
        )
    longest = max(len(prompt.tokens) for prompt in prompts)
    step = max(1, TOKENS // longest)
    found = [
        _answers(pretrained.model, prompts[start : start + step], longest)
        for start in range(0, len(prompts), step)
    ]
    return PromptAnswers(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def _answers(model: Any, prompts: Sequence[Prompt], longest: int) -> PromptAnswers:
    """Shorter prompts are filled up behind their end, which a causal model does not see."""
    tokens = torch.stack(
        [
            torch.cat([each.tokens, each.tokens[-1:].expand(longest - len(each.tokens))])
            for each in prompts
        ]
    )
    firsts = [len(each.tokens) - each.n_answer - 1 for each in prompts]
    lasts = [len(each.tokens) - 2 for each in prompts]
    begin, end = min(firsts), max(lasts) + 1
    wide = max(1, NUMBERS // (len(prompts) * model.config.get_text_config().vocab_size))
    rows = [slice(start, min(start + wide, end)) for start in range(begin, end, wide)]
    best, heights = [], []
    candidates = _candidates(prompts).to(model.device)  # (N, C)
    for _, logits in logits_by_rows(model, tokens[:, :-1], rows):
        best.append(logits.argmax(dim=-1).cpu())
        index = candidates[:, None].expand(-1, logits.shape[1], -1)
        heights.append(logits.float().gather(2, index).cpu())
    top, height = torch.cat(best, dim=1), torch.cat(heights, dim=1)
    exact, chosen = [], []
    for number, (prompt, first, last) in enumerate(zip(prompts, firsts, lasts, strict=True)):
        said = top[number, first - begin : last - begin + 1]
        exact.append(torch.equal(said, prompt.tokens[-prompt.n_answer :]))
        at = first - begin + prompt.shared
        right, *others = height[number, at, : 1 + len(prompt.wrong)].tolist()
        chosen.append(all(right > other for other in others))
    return PromptAnswers(torch.tensor(exact), torch.tensor(chosen))


def _candidates(prompts: Sequence[Prompt]) -> Tensor:
    """(N, C) ids, the right one and the wrong ones, the right one again where others lack."""
    most = max(len(prompt.wrong) for prompt in prompts)
    return torch.tensor(
        [[each.right, *each.wrong, *[each.right] * (most - len(each.wrong))] for each in prompts]
    )


def in_words(
    tokenizer: Any,
    length: int,
    needles: Sequence[tuple[float, str]],
    question: str,
    answer: str,
    wrong: Sequence[str] = (),
    filler: Sequence[str] = FILLER,
) -> Prompt:
    """Make a prompt of at most `length` tokens: as many sentences of filler as there is room for.

    Args:
        tokenizer: The model's.
        length: Tokens in all, the answer's included.
        needles: Sentences and the share of the filler, in [0, 1], that stands before each; those
            of equal depth in this order.
        question: What the prompt ends in, without a space behind.
        answer: Its answer, without a space before.
        wrong: Other answers.
        filler: Sentences, repeated as often as needed.

    Raises:
        ValueError: If there is no room for the needles and the question alone, or if answers part
            at several tokens.
    """

    def ids(n_sentences: int, ending: str = "") -> list[int]:
        places = [(round(depth * n_sentences), needle) for depth, needle in needles]
        said: list[str] = []
        for place in range(n_sentences + 1):
            said += [needle for at, needle in places if at == place]
            if place < n_sentences:
                said.append(filler[place % len(filler)])
        text = " ".join(said) + "\n" + question + ending
        return list(tokenizer(text, verbose=False)["input_ids"])

    n = _most(lambda n: len(_without_end(tokenizer, ids(n, " " + answer))), length)
    if n is None:
        raise ValueError(
            f"a question of {len(ids(0, ' ' + answer))} tokens has no room in {length}: give more"
        )
    asked = _without_end(tokenizer, ids(n))
    whole = _without_end(tokenizer, ids(n, " " + answer))
    start = _same(asked, whole)
    if getattr(tokenizer, "unk_token_id", None) in whole[start:]:
        raise ValueError(f"the tokenizer has no word for the answer {answer!r}")
    others = [_without_end(tokenizer, ids(n, " " + each)) for each in wrong]
    parts = {_same(whole, other) for other in others} or {start}
    part = min(parts)
    if len(parts) > 1 or part >= min(map(len, [whole, *others])):
        raise ValueError(f"the answers {answer!r} and {', '.join(wrong)} do not part at one token")
    return Prompt(
        torch.tensor(whole), len(whole) - start, tuple(other[part] for other in others),
        part - start,
    )  # fmt: skip


def in_ids(
    filler: Tensor, needles: Sequence[tuple[float, Tensor]], question: Tensor, answer: Tensor,
    length: int, wrong: tuple[int, ...] = (),
) -> Prompt:  # fmt: skip
    """Make a prompt of exactly `length` tokens of ids, for a model without a tokenizer.

    Args:
        filler: (N,) ids, of which as many as there is room for are taken.
        needles: Ids and the share of the filler that stands before each.
        question: Ids that the prompt ends in.
        answer: Ids of its answer.
        length: Tokens in all.
        wrong: First ids of other answers.
    """
    room = length - sum(len(ids) for _, ids in needles) - len(question) - len(answer)
    if not 0 <= room <= len(filler):
        raise ValueError(f"a question of {length - room} tokens and {len(filler)} of filler do not "
                         f"make {length}")  # fmt: skip
    parts, done = [], 0
    for depth, needle in sorted(needles, key=lambda pair: pair[0]):
        until = round(depth * room)
        parts += [filler[done:until], needle]
        done = until
    return Prompt(torch.cat([*parts, filler[done:room], question, answer]), len(answer), wrong)


def _most(size: Callable[[int], int], limit: int) -> int | None:
    """The largest n with size(n) <= limit, of a size that grows evenly; None if there is none."""
    low = size(0)
    if low > limit:
        return None
    per_sentence = max((size(64) - low) / 64, 1)
    n = int((limit - low) / per_sentence)
    while n and size(n) > limit:
        n -= 1
    while size(n + 1) <= limit:
        n += 1
    return n


def _same(first: Sequence[int], second: Sequence[int]) -> int:
    """How many ids two sequences begin with in common."""
    n = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        n += 1
    return n


def _without_end(tokenizer: Any, ids: list[int]) -> list[int]:
    """Without the tokens that a tokenizer puts behind every text, where an answer goes on."""
    from lightning_posenc.pretrained.evaluating.texts import special_tokens

    _, suffix = special_tokens(tokenizer)
    return ids[: len(ids) - len(suffix)] if suffix else ids
