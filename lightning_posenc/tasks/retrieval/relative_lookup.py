"""What stood as many tokens ago as this one says?"""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import IGNORE, Sample, Task
from lightning_posenc.tasks.bounds.mode import guess_another


class RelativeLookup(Task):
    """Each token is a symbol and a number r: say the symbol of the token r places back.

    With T = 5: `7,1 2,1 2,3 5,2 0,1`, and the targets are none, 7, none, 2, 5: a token that
    points before the start is not scored. Symbol s with number r is token s * max_offset + r - 1.

    It stresses relative position, with the distance chosen by the content: an attention head
    with one fixed offset does not do it, nor does an absolute index by itself.

    No source: made for this package.

    Args:
        max_offset: largest number, at least 1; numbers are drawn uniformly from 1.
        n_symbols: number of symbols, drawn independently and uniformly, at least 2.

    Raises:
        ValueError: if an argument is too small.
    """

    kind: ClassVar[Literal["sequence", "token"]] = "token"

    def __init__(self, max_offset: int = 8, n_symbols: int = 8) -> None:
        self.max_offset = whole(self, "max_offset", max_offset, 1)
        self.n_classes = whole(self, "n_symbols", n_symbols, 2)
        self.vocab_size = n_symbols * max_offset
        self.min_length = max_offset + 1  # so that the last token is always scored
        self.symbols = [f"{s},{r}" for s in range(n_symbols) for r in range(1, max_offset + 1)]

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        word = draws.integers(0, self.n_classes, length)
        offsets = draws.integers(1, self.max_offset + 1, length)
        source = torch.arange(length) - offsets
        targets = word.gather(1, source.clamp(min=0)).masked_fill_(source < 0, IGNORE)
        return Sample(word * self.max_offset + offsets - 1, targets)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exact: numbers tell nothing of symbols, and each target is some other token's symbol."""
        self.check_length(length)
        return guess_another(length, self.n_classes)

    def show(self, tokens: Sequence[int], targets: int | Sequence[int]) -> str:
        """The tokens, and under them the symbols that are asked for."""
        assert not isinstance(targets, int)
        shown = [self._printed(token) for token in tokens]
        asked = ["·" if target == IGNORE else str(target) for target in targets]
        lines = (shown, map(str.ljust, asked, map(len, shown)))
        return "\n".join(" ".join(line).rstrip() for line in lines)
