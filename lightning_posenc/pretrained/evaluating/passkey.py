"""Is a number found again, wherever it stands in how long a text?

Shapes: L lengths, D depths, N prompts of each.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.checks import several, whole
from lightning_posenc.pretrained.evaluating.prompts import Prompt, ask, in_ids, in_words

if TYPE_CHECKING:
    from lightning_posenc.pretrained.reading import Pretrained

DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
DIGITS = 5
INTRODUCTION = "There is a pass key hidden in the text below. Find it and remember it."
QUESTION = "What is the pass key? The pass key is"


class PasskeyScores(NamedTuple):
    """Which passkeys were found.

    Args:
        lengths: L.
        depths: D shares of the filler before the needle, from 0 (at the start) to 1 (at the end).
        found: (L, D, N) bool.
    """

    lengths: tuple[int, ...]
    depths: tuple[float, ...]
    found: Tensor

    @property
    def shares(self) -> Tensor:
        """(L, D) shares of the keys that were found, in [0, 1]."""
        return self.found.float().mean(dim=2)


def passkey(
    pretrained: "Pretrained",
    lengths: Sequence[int],
    depths: Sequence[float] = DEPTHS,
    n: int = 5,
    seed: int = 0,
    in_own_ids: bool = False,
) -> PasskeyScores:
    """Hide a number in filler and ask for it (Mohtashami and Jaggi 2023, arXiv:2305.16300).

    In the words of this function, through the model's own tokenizer; of a model without one, or
    where asked, as ids drawn at random: a mark and a key among filler, then the mark again. Found
    is what greedy decoding says, token for token. Deviations from the paper: other filler, a key of
    five digits, said twice in two sentences, no search over prompts.

    Args:
        pretrained: A causal language model.
        lengths: Tokens of a prompt with its answer; a prompt in words may be a sentence shorter.
        depths: Shares of the filler before the key, in [0, 1].
        n: Prompts of each length and depth.
        seed: Of the keys; the same for all lengths, depths and models.
        in_own_ids: Whether ids are drawn though there is a tokenizer.

    Raises:
        ValueError: If a length has no room for the question.
    """
    lengths, depths = several(passkey, "lengths", lengths), several(passkey, "depths", depths)
    whole(passkey, "n", n)
    found = torch.empty(len(lengths), len(depths), n, dtype=torch.bool)
    for row, length in enumerate(lengths):
        for column, depth in enumerate(depths):
            prompts = [
                passkey_prompt(pretrained, length, depth, seed * 1000 + i, in_own_ids)
                for i in range(n)
            ]
            found[row, column] = ask(pretrained, prompts).exact
    return PasskeyScores(tuple(lengths), tuple(depths), found)


def passkey_prompt(
    pretrained: "Pretrained", length: int, depth: float, seed: int, in_own_ids: bool = False
) -> Prompt:
    """One prompt, as `passkey` has them.

    Raises:
        ValueError: If the length has no room for it.
    """
    worded = pretrained.tokenizer is not None and not in_own_ids
    return (_worded if worded else _drawn)(pretrained, length, depth, seed)


def _worded(pretrained: "Pretrained", length: int, depth: float, seed: int) -> Prompt:
    generator = torch.Generator().manual_seed(seed)
    low, high = 10 ** (DIGITS - 1), 10**DIGITS
    key = int(torch.randint(low, high, (), generator=generator))
    needle = f"The pass key is {key}. Remember it. {key} is the pass key."
    needles = [(0.0, INTRODUCTION), (depth, needle)]
    return in_words(pretrained.tokenizer, length, needles, QUESTION, str(key))


def _drawn(pretrained: "Pretrained", length: int, depth: float, seed: int) -> Prompt:
    generator = torch.Generator().manual_seed(seed)
    size = pretrained.config.vocab_size
    filler, mark, key = (
        torch.randint(size, (n,), generator=generator) for n in (length, 2, DIGITS)
    )
    return in_ids(filler, [(depth, torch.cat([mark, key]))], mark, key, length)
