"""Digits of like significance in the same place."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.draws import sent
from lightning_posenc.positions.base import Positions
from lightning_posenc.positions.digits import checked_ids, place_in_run, tokens_among
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.recording import is_recorded
from lightning_posenc.positions.sequences import Sequences


class PositionCoupling(Positions):
    """s + 1 + j for a digit worth 10^j, s for '+' and '=', 0 for what belongs to no equation.

    For `653+49=207`, say, written with the result's least significant digit first (`=207` for 702)
    and s = 1: 4 3 2, 1, 3 2, 1, 2 3 4. Of a result written as usual the most significant digit
    comes first, and '=' stands beside it: one more than it. In training s is uniform among the
    starts that keep every position of the sequence up to `max_position`; otherwise it is 1.

    Source: Cho et al. 2024, "Position Coupling: Improving Length Generalization of Arithmetic
    Transformers Using Task Structure", arXiv:2405.20671, and the paper's code, which
    counts from the least significant digit.

    Deviation: numbers are found in the tokens: a run of digits, the result if it follows '=' at
    once. So any number of summands, or of equations, has positions.

    Args:
        digits: Ids of the tokens that are digits, a pad of leading zeros among them.
        separators: Ids of the operators, such as '+'.
        equals: Id of '='.
        reversed_operands: Whether operands are written with the least significant digit first.
        reversed_result: Whether results are. If not, a digit's position tells how many follow,
            which a model that writes the result cannot know.
        max_position: The largest position, at least 1: a table needs one more row.

    Raises:
        ValueError: If ids overlap; when called without tokens; on a number too long.
    """

    source = Paper(
        "Cho et al.",
        2024,
        "Position Coupling: Improving Length Generalization of "
        "Arithmetic Transformers Using Task Structure",
        "2405.20671",
    )
    equation = (
        r"p_t = \begin{cases} s + 1 + j & t \text{ is a digit worth } 10^j \\"
        r" s & t \text{ is } {+} \text{ or } {=} \\ 0 & \text{else} \end{cases}"
    )

    reads_tokens = True

    def __init__(
        self,
        digits: Sequence[int] = tuple(range(10)),
        separators: Sequence[int] = (10,),
        equals: int = 11,
        reversed_operands: bool = False,
        reversed_result: bool = True,
        max_position: int = 100,
    ) -> None:
        super().__init__()
        self.digits = checked_ids(self, "digits", digits)
        self.separators = checked_ids(self, "separators", separators)
        self.equals = whole(self, "equals", equals, 0)
        ids = [*digits, *separators, equals]
        if len(set(ids)) < len(ids):
            raise ValueError(
                f"PositionCoupling: digits={list(digits)}, separators={list(separators)} and "
                f"equals={equals} must be different tokens"
            )
        self.reversed_operands = reversed_operands
        self.reversed_result = reversed_result
        self.max_position = whole(self, "max_position", max_position)

    def bounds(self, length: int) -> tuple[float, float]:
        return 0, self.max_position

    def forward(self, sequences: Sequences) -> Tensor:
        documents = sequences.documents
        is_digit, is_equals, is_operator = (
            tokens_among(self, sequences, ids)
            for ids in (self.digits, (self.equals,), self.separators)
        )
        opens_result = is_digit & _after(is_equals, documents)
        before, after = place_in_run(is_digit, documents)
        first = torch.arange(sequences.length, device=is_digit.device) - before
        least_first = torch.where(
            opens_result.gather(1, first), self.reversed_result, self.reversed_operands
        )
        above = torch.where(is_digit, 1 + torch.where(least_first, before, after), 0)  # above s
        if not self.reversed_result:
            beside = torch.where(opens_result, above + 1, 0).roll(-1, dims=1)
            above = torch.where(is_equals, beside, above)
        takes_part = is_digit | is_equals | is_operator
        return torch.where(takes_part, above + self._starts(above), 0)

    def _starts(self, above: Tensor) -> Tensor:
        """Draw s, (B, 1)."""
        n_starts = self.max_position - above.amax(dim=1, keepdim=True)
        # A run as long as the sequence, and '=' beside it, has room: nobody reads values then.
        if not is_recorded() and above.shape[1] + 2 > self.max_position:
            self._check_room(n_starts)
        if not self.training:
            return torch.ones_like(n_starts)
        share = torch.rand(len(above), 1, dtype=torch.float64, device="cpu")
        return 1 + (sent(share, above.device) * n_starts).long()

    @torch.compiler.disable
    def _check_room(self, n_starts: Tensor) -> None:
        if (fewest := int(n_starts.amin())) < 1:
            raise ValueError(
                f"PositionCoupling: a number needs position {self.max_position - fewest + 1}, "
                f"beyond max_position={self.max_position}; raise it and train again"
            )


def _after(mask: Tensor, documents: Tensor | None) -> Tensor:
    """Which tokens (B, T) come right after one of the mask, in the same document."""
    result = torch.zeros_like(mask)
    result[:, 1:] = mask[:, :-1]
    if documents is not None:
        result[:, 1:] &= documents[:, 1:] == documents[:, :-1]
    return result
