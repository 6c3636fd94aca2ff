"""The common form of the formal-language tasks: a question, then a blank for each answer token."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.tasks.base import IGNORE, Sample, Task, generate
from lightning_posenc.tasks.bounds.mode import expected_mode

_N_ESTIMATE = 1024  # samples behind an estimated bound


class FormalTask(Task):
    """n tokens of a question, then blanks: at the i-th blank say the i-th token of the answer.

    The length is n, the number of tokens of the question. The blank is the last token of the
    vocabulary; the question's own tokens are never scored. Where answers end before the last
    blank, the last class says so, and nothing is scored after it.

    Deviations from the source, common to all: random numbers are our own; where answers have an
    end, the source's loss also counts the padding behind it (as class 0) while its accuracy does
    not: here neither does.

    Source: Delétang et al. 2022, "Neural Networks and the Chomsky Hierarchy", arXiv:2207.02098;
    with blanks for an encoder as in Ruoss et al. 2023, "Randomized Positional Encodings Boost
    Length Generalization of Transformers", arXiv:2305.16843.

    Args:
        alphabet: how each token of a question is printed.
        answers: how each class is printed.
    """

    kind: ClassVar[Literal["sequence", "token"]] = "token"
    min_length = 1

    def __init__(self, alphabet: Sequence[str], answers: Sequence[str]) -> None:
        self.symbols = (*alphabet, "_")
        self.answers = tuple(answers)
        self.vocab_size = len(self.symbols)
        self.n_classes = len(self.answers)

    def answer_length(self, length: int) -> int:
        """Number of blanks."""
        return 1

    def width(self, length: int) -> int:
        return length + self.answer_length(length)

    def _posed(self, question: Tensor, answer: Tensor, end: Tensor | None = None) -> Sample:
        """The sample made of a question and its answer.

        Args:
            question: (B, n) tokens.
            answer: (B,) or (B, blanks) classes.
            end: (B,) place of the end class in the answer, or None if answers have no end.
        """
        if answer.dim() == 1:
            answer = answer[:, None]
        if end is not None:
            place = torch.arange(answer.shape[1]) - end[:, None]
            answer = answer.masked_fill(place == 0, self.n_classes - 1)
            answer = answer.masked_fill(place > 0, IGNORE)
        blanks = torch.full_like(answer, self.vocab_size - 1)
        unscored = torch.full_like(question, IGNORE)
        return Sample(torch.cat([question, blanks], 1), torch.cat([unscored, answer], 1))

    def bag_of_tokens_bound(self, length: int) -> float:
        """Upper bound: all blanks look alike, so all get the same guess.

        No guess is better than the commonest token of the true answer: E[its count] / E[tokens of
        the answer]. Estimated from 1,024 fixed samples, plus five standard errors.
        """
        self.check_length(length)
        targets = generate(self, 0, "bound", torch.arange(_N_ESTIMATE), length).targets
        counts = torch.stack([(targets == c).sum(1) for c in range(self.n_classes)], 1).double()
        best, total = counts.max(1).values, counts.sum(1)
        ratio = best.mean() / total.mean()
        error = (best - ratio * total).std() / total.mean() / _N_ESTIMATE**0.5
        return min(1.0, float(ratio + 5 * error))

    def show(self, tokens: Sequence[int], targets: int | Sequence[int]) -> str:
        """Question and answer, without blanks and padding."""
        assert not isinstance(targets, int)
        assert self.symbols is not None
        blank = self.vocab_size - 1
        question = tokens[: list(tokens).index(blank)]
        answer = [self.answers[target] for target in targets if target != IGNORE]
        return f"{' '.join(self.symbols[t] for t in question)}  ->  {' '.join(answer)}"


class StringTask(FormalTask):
    """Answer a string with a rearrangement of it.

    Args:
        n_symbols: number of symbols, drawn independently and uniformly, at least 2.

    Raises:
        ValueError: if an argument is too small.
    """

    def __init__(self, n_symbols: int) -> None:
        whole(self, "n_symbols", n_symbols, 2)
        digits = [str(i) for i in range(n_symbols)]
        super().__init__(digits, digits)

    def answer_length(self, length: int) -> int:
        return length

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exactly E[M] / n: all blanks look alike, so all get the commonest of the n symbols."""
        self.check_length(length)
        return expected_mode(length, self.n_classes) / length
