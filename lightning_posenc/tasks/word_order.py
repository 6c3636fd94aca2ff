"""Translate a sentence of one made language into another, whose words stand in another order."""

import torch
from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.bounds.revealed import guesses_of_remaining
from lightning_posenc.tasks.decoder import DecoderTask, prompt_and_answer


class WordOrder(DecoderTask):
    """A sentence of n words, subject, verb and object; the answer is its translation.

    A subject or an object is a noun with adjectives before it. Every word has one translation, but
    adjectives follow their noun, the nearest first, and the verb comes last: English to a language
    with the word order of Basque. Example for n = 6, where `N` translates `n`:
    `a1 a4 n2 v0 a3 n5 =  ->  N2 A4 A1 N5 A3 V0 <end>`. The length n counts the words. It stresses
    finding a place whose distance depends on what a phrase holds. Word orders: Dryer 2013, "Order
    of Subject, Object and Verb", WALS feature 81A, and "Order of Adjective and Noun", 87A.

    Args:
        n_nouns: number of nouns, drawn independently and uniformly, as all words, at least 2.
        n_adjectives: number of adjectives, at least 2.
        n_verbs: number of verbs, at least 1.

    Raises:
        ValueError: if an argument is out of range.
    """

    min_length = 3

    def __init__(self, n_nouns: int = 20, n_adjectives: int = 20, n_verbs: int = 10) -> None:
        self.n_nouns = whole(self, "n_nouns", n_nouns, 2)
        self.n_adjectives = whole(self, "n_adjectives", n_adjectives, 2)
        self.n_verbs = whole(self, "n_verbs", n_verbs)
        kinds = {"n": n_nouns, "a": n_adjectives, "v": n_verbs}
        words = [f"{kind}{number}" for kind, n in kinds.items() for number in range(n)]
        self.n_words = len(words)
        super().__init__([*words, *map(str.upper, words), "="])

    def width(self, length: int) -> int:
        return 2 * (length + 1)

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        n_adjectives = length - 3
        nouns = draws.integers(0, self.n_nouns, 2)
        adjectives = draws.integers(0, self.n_adjectives, n_adjectives) + self.n_nouns
        verb = draws.integers(0, self.n_verbs, 1) + self.n_nouns + self.n_adjectives
        words = torch.cat([nouns, verb, adjectives], dim=1)  # at 0 and 1, at 2, from 3 on
        of_subject = draws.integers(0, n_adjectives + 1, 1)  # of the adjectives, (B, 1)
        place = torch.arange(length)
        source = words.gather(1, _source_order(place, of_subject))
        target = words.gather(1, _target_order(place, of_subject)) + self.n_words
        separator = torch.full_like(verb, 2 * self.n_words)
        return prompt_and_answer(torch.cat([source, separator], dim=1), target, self.end)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Upper bound: nobody knows which noun is first, or in which order adjectives come.

        Of those still to come it knows the multiset, see `guesses_of_remaining`, and is told where
        a phrase ends; the second noun, the verb and the end are certain.
        """
        self.check_length(length)
        first = 0.5 + 0.5 / self.n_nouns
        among = sum(guesses_of_remaining(length - 3, self.n_adjectives)) if length > 3 else 0.0
        return (first + among + 3) / (length + 1)


def _source_order(place: Tensor, of_subject: Tensor) -> Tensor:
    """Which of the words stands at each place (T,) of a source, (B, T)."""
    last = place == len(place) - 1
    word = torch.where(place < of_subject, place + 3, place + 1)  # adjectives, two words later
    word = torch.where(place == of_subject, 0, word)
    word = torch.where(place == of_subject + 1, 2, word)
    return torch.where(last, 1, word)


def _target_order(place: Tensor, of_subject: Tensor) -> Tensor:
    """The same of a target."""
    last = place == len(place) - 1
    n_adjectives = len(place) - 3
    subject = 3 + of_subject - place  # from the last of its adjectives down to the first
    thing = 3 + n_adjectives - 1 - (place - of_subject - 2)
    word = torch.where(place <= of_subject, subject, thing)
    word = torch.where(place == 0, 0, word)
    word = torch.where(place == of_subject + 1, 1, word)
    return torch.where(last, 2, word)
