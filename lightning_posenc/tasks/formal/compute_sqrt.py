"""What is the square root of a binary number?"""

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import pad

from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample
from lightning_posenc.tasks.formal.base import FormalTask
from lightning_posenc.tasks.formal.binary import draw_positive

_LIMB = 56  # binary digits in one int64, with room for two more digits, a carry and a sign


class ComputeSqrt(FormalTask):
    """Say the whole part of the square root of a binary number, highest digit first.

    Example: 1 0 0 1 0 1 -> 1 1 0 (37 -> 6).

    The number is uniform in 1..2^n - 1; the answer has ceil(n / 2) digits, leading zeros included.

    Stresses hierarchy of another kind: each digit of the answer hangs on all digits above it.
    Context-sensitive.

    Source: Delétang et al. 2022, "Neural Networks and the Chomsky Hierarchy", arXiv:2207.02098.
    """

    def __init__(self) -> None:
        super().__init__("01", "01")

    def answer_length(self, length: int) -> int:
        return (length + 1) // 2

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        number = draw_positive(draws, torch.tensor(length), length).flip(1)
        return self._posed(number, _root(pad(number, (length % 2, 0))))


def _root(digits: Tensor) -> Tensor:
    """Square roots digit by digit, as by hand; (B, 2 k) to (B, k), highest digit first.

    Each step takes two more digits of the number into the remainder R. If 4 Q + 1 fits, with Q the
    root so far, it is taken off, and the root's next digit is 1. Numbers are rows of limbs, lowest
    first; a row is negative if its last limb is.
    """
    pairs = (2 * digits[:, ::2] + digits[:, 1::2]).T.contiguous()
    n_limbs = (len(pairs) + 3) // _LIMB + 1
    root = pairs.new_zeros(n_limbs, pairs.shape[1])
    remainder = torch.zeros_like(root)
    out = torch.zeros_like(pairs)
    for i, pair in enumerate(pairs):
        remainder.mul_(4)[0].add_(pair)
        trial = remainder - 4 * root
        trial[0] -= 1
        _carry(trial)
        _carry(remainder)
        fits = trial[-1] >= 0
        remainder = torch.where(fits, trial, remainder)
        root.mul_(2)[0].add_(fits)
        _carry(root)
        out[i] = fits
    return out.T


def _carry(limbs: Tensor) -> None:
    """Bring all limbs but the last into 0..2^56 - 1."""
    for low, high in pairwise(limbs):
        high += low >> _LIMB
        low &= 2**_LIMB - 1
