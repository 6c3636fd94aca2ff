"""Tasks whose answer is written token by token after a prompt, by a causal model."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from lightning_posenc.tasks.base import IGNORE, Sample, Task


class DecoderTask(Task):
    """A prompt and an answer that ends in a token of its own; only the answer is scored.

    At each place the target is the token that follows, as in language modelling, from the last
    token of the prompt (which predicts the first of the answer) to the last before `end`.

    Args:
        symbols: how each token but the end is printed, in order of the ids; `end` is the next id.
    """

    kind: ClassVar[Literal["sequence", "token"]] = "token"

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = [*symbols, "<end>"]
        self.vocab_size = self.n_classes = len(self.symbols)
        self.end = len(symbols)

    def prompt_lengths(self, sample: Sample) -> Tensor:
        """(B,) int64, the index of the first token of each answer: where decoding begins."""
        return answer_starts(sample.targets)

    def show(self, tokens: Sequence[int], targets: int | Sequence[int]) -> str:
        """The prompt and the answer in one line."""
        assert not isinstance(targets, int)
        answer = [target for target in targets if target != IGNORE]
        first = next(t for t, target in enumerate(targets) if target != IGNORE) + 1
        prompt, said = (" ".join(map(self._printed, part)) for part in (tokens[:first], answer))
        return f"{prompt}  ->  {said}"


def answer_starts(targets: Tensor) -> Tensor:
    """(B,) int64, one more than the first scored place of each row of `targets` (B, T)."""
    return (targets != IGNORE).int().argmax(dim=1) + 1


def prompt_and_answer(
    prompt: Tensor,
    answer: Tensor,
    end: int,
    prompt_lengths: Tensor | None = None,
    answer_lengths: Tensor | None = None,
) -> Sample:
    """Tokens = prompt, answer, end, padding of 0; the targets are the answer and the end.

    Args:
        prompt: (B, P) int64, padded at the end with anything.
        answer: (B, A) int64, likewise.
        end: token that ends each answer.
        prompt_lengths: (B,) int64, in 1..P, or None if all have P.
        answer_lengths: (B,) int64, in 0..A, or None if all have A.

    Returns:
        T = P + A + 1 tokens.
    """
    n_prompt, n_answer = prompt.shape[1], answer.shape[1]
    said = torch.cat([answer, torch.full_like(prompt[:, :1], end)], dim=1)
    if prompt_lengths is None and answer_lengths is None:
        tokens = torch.cat([prompt, said], dim=1)
        targets = torch.full_like(tokens, IGNORE)
        targets[:, n_prompt - 1 : -1] = said
        return Sample(tokens, targets)
    if prompt_lengths is None:
        prompt_lengths = prompt.new_full((len(prompt),), n_prompt)
    if answer_lengths is None:
        answer_lengths = prompt.new_full((len(prompt),), n_answer)
    else:
        said = said.scatter(1, answer_lengths[:, None], end)
    first, last = prompt_lengths[:, None], (prompt_lengths + answer_lengths)[:, None]
    tokens = torch.cat([prompt, torch.zeros_like(said)], dim=1)
    tokens.scatter_(1, first + torch.arange(n_answer + 1), said)
    place = torch.arange(tokens.shape[1])
    tokens.masked_fill_(place > last, 0)
    scored = (place >= first - 1) & (place < last)
    targets = tokens.roll(-1, dims=1).masked_fill(~scored, IGNORE)
    return Sample(tokens, targets, lengths=last[:, 0] + 1)
