"""What is on the stack in the end?"""

import torch

from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.formal.base import FormalTask


class StackManipulation(FormalTask):
    """Given a stack of bits, bottom first, and actions on it, say the stack after them, top first.

    Example: 0 1 1 0 push1 pop pop -> 1 1 0 end.

    The stack has 1 to n - 1 bits, uniformly; the other tokens are actions, each uniformly `pop`,
    `push0` or `push1`. A pop of the empty stack does nothing. Length 1 is one bit without actions.
    There are n + 1 blanks; nothing is scored after `end`.

    Stresses content-dependent addressing: where a bit of the answer stands in the question depends
    on all actions. Deterministic context-free.

    Source: Delétang et al. 2022, "Neural Networks and the Chomsky Hierarchy", arXiv:2207.02098.
    """

    def __init__(self) -> None:
        super().__init__(("0", "1", "pop", "push0", "push1"), ("0", "1", "end"))

    def answer_length(self, length: int) -> int:
        return length + 1

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        height = draws.integers(1, max(length, 2))[:, None]
        place = torch.arange(length)
        bits, actions = draws.integers(0, 2, length), draws.integers(2, 5, length)
        question = torch.where(place < height, bits, actions)

        # Depth after each token: a sum of +1 and -1, lifted as far as it ever fell below zero.
        pop = question == 2
        level = (1 - 2 * pop.long()).cumsum(1)
        depth = level - level.cummin(1).values.clamp(max=0)
        # A bit stays on the stack if the depth never falls below the one at which it was put.
        stays = (depth.flip(1).cummin(1).values.flip(1) == depth) & ~pop
        end = depth[:, -1]
        # Bits that are gone go to the last blank, which is never of a bit that stays.
        blank = torch.where(stays, end[:, None] - depth, length)
        answer = torch.zeros(len(question), length + 1, dtype=torch.int64)
        answer.scatter_(1, blank, (question % 2) ^ (question > 2).long())
        return self._posed(question, answer, end)
