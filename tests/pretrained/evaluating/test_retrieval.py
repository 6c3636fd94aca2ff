"""A passkey is found by who copies, and order is known by who reads it, in ids and in words."""

import re
from typing import Any

import pytest
import torch

from lightning_posenc.pretrained.evaluating.order_task import QUESTIONS, TOWNS, order_task
from lightning_posenc.pretrained.evaluating.passkey import INTRODUCTION, QUESTION, passkey
from lightning_posenc.pretrained.evaluating.prompts import FILLER, Prompt, ask, in_ids, in_words
from lightning_posenc.pretrained.reading import Pretrained
from tests.pretrained.evaluating.examples import VOCAB, ByRule, literal, lively, pretrained, words

LARGE = 5000  # ids, so that filler seldom looks like a mark


def vocabulary() -> Any:
    said = " ".join([*FILLER, INTRODUCTION, QUESTION, "Anna travelled to Remember it", *TOWNS])
    said += " The first last town that was"
    return words(*sorted(set(re.findall(r"\w+|[^\w\s]", said))))


def by_rule(rule: Any, tokenizer: Any = None) -> Pretrained:
    size = LARGE if tokenizer is None else len(tokenizer)
    return Pretrained(ByRule(rule, size), tokenizer, "rule", "causal")


@pytest.mark.parametrize("tokenizer", [None, vocabulary()])
def test_a_copying_model_finds_the_key_at_every_depth(tokenizer: Any) -> None:
    found = passkey(by_rule(literal(2), tokenizer), [70, 120], depths=[0, 0.5, 1], n=2)
    assert found.found.shape == (2, 3, 2)
    assert bool((found.shares == 1).all())


def test_a_model_of_short_sight_finds_it_near_the_end_alone() -> None:
    def near(ids: list[int]) -> int:
        return literal(2)(ids[-30:])

    found = passkey(by_rule(near), [100], depths=[0, 0.5, 1], n=3)
    assert found.shares.tolist() == [[0, 0, 1]]


def test_a_random_model_finds_nothing() -> None:
    assert float(passkey(pretrained("llama"), [40], n=4).shares.sum()) == 0


def test_bags_of_words_do_not_tell_order_in_ids() -> None:
    ordered = order_task(by_rule(literal(3)), [60], n=12)
    assert bool(ordered.exact.all())
    assert bool(ordered.chosen.all())
    for rule in (literal(1), literal(3, ordered=False)):
        blind = order_task(by_rule(rule), [60], n=12)
        assert blind.exact.float().mean() == 0.5


def test_the_words_of_the_question_do_not_tell_order_in_words() -> None:
    tokenizer = vocabulary()
    told = {tokenizer.convert_tokens_to_ids(town) for town in TOWNS}
    first = tokenizer.convert_tokens_to_ids(QUESTIONS[0])

    def reads(ids: list[int]) -> int:
        towns = [each for each in ids if each in told] or [0]
        return towns[0] if first in ids[-8:] else towns[-1]

    def latest(ids: list[int]) -> int:
        return ([each for each in ids if each in told] or [0])[-1]

    assert bool(order_task(by_rule(reads, tokenizer), [100], n=8).exact.all())
    assert order_task(by_rule(latest, tokenizer), [100], n=8).chosen.float().mean() == 0.5


def test_a_prompt_is_as_long_as_there_is_room() -> None:
    tokenizer = vocabulary()
    for length in (60, 61, 90):
        prompt = in_words(tokenizer, length, [(0.5, "The key is 7.")], "The key is", "7")
        assert length - 13 < len(prompt.tokens) <= length
        said = tokenizer.decode(prompt.tokens)
        assert prompt.n_answer == 1
        assert said.endswith("is 7")
    with pytest.raises(ValueError, match=r"a question of \d+ tokens has no room in 5"):
        in_words(tokenizer, 5, [(0.5, "The key is 7.")], "The key is", "7")
    with pytest.raises(ValueError, match="do not part at one token"):
        in_words(tokenizer, 60, [], "The key is", "71", ["72", "9"])
    with pytest.raises(ValueError, match="no word for the answer 'zebra'"):
        in_words(tokenizer, 60, [], "The key is", "zebra")


def test_needles_stand_where_they_are_put() -> None:
    filler, needle, question, answer = (torch.full((n,), i) for i, n in enumerate((30, 2, 1, 3)))
    for depth in (0.0, 0.5, 1.0):
        prompt = in_ids(filler, [(depth, needle)], question, answer, 20)
        assert len(prompt.tokens) == 20
        assert prompt.tokens.tolist().index(1) == round(14 * depth)
        assert prompt.tokens.tolist()[-4:] == [2, 3, 3, 3]
    with pytest.raises(ValueError, match="do not make 60"):
        in_ids(filler, [(0.5, needle)], question, answer, 60)


@torch.no_grad()
def test_exact_is_what_greedy_decoding_says() -> None:
    model = lively("llama", tie_word_embeddings=True)
    ours = Pretrained(model, None, "llama", "causal")
    begins = torch.randint(VOCAB, (6, 7))
    said = model.generate(
        begins, attention_mask=torch.ones_like(begins), max_new_tokens=3, do_sample=False,
        eos_token_id=None,
    )  # fmt: skip
    right = [Prompt(row, 3) for row in said]
    wrong = [Prompt(torch.cat([row[:-1], (row[-1:] + 1) % VOCAB]), 3) for row in said]
    longer = [Prompt(row[2:], 3) for row in said[:1]]  # of another length in the same batch
    found = ask(ours, [*right, *wrong, *longer])
    assert found.exact.tolist()[:12] == [True] * 6 + [False] * 6
    assert bool(found.chosen.all())
    best = [Prompt(row, 3, (int(row[-3]) ^ 1,)) for row in said]
    assert bool(ask(ours, best).chosen.all())
    assert not bool(ask(ours, [Prompt(torch.cat([row[:-3], row[-3:] ^ 1]), 3, (int(row[-3]),))
                               for row in said]).chosen.any())  # fmt: skip


def test_a_masked_model_is_not_asked() -> None:
    with pytest.raises(ValueError, match="asked of a causal"):
        passkey(pretrained("bert"), [40])
