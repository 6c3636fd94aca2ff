"""Short samples that stand where a long one would."""

import torch
from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.draws import sent
from lightning_posenc.positions.base import Positions
from lightning_posenc.positions.consecutive import Consecutive
from lightning_posenc.positions.derived import Derived
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.sequences import Sequences


class PoSE(Derived):
    """p + u_i in chunk i of a sequence in training, u_i drawn from u_{i-1}..L - T; p otherwise.

    The first chunk stays where it is, u_0 = 0. So a model that is trained on T tokens meets every
    distance below L, the length that it is to serve, at the cost of T: positional skip-wise
    training. The chunks' lengths are drawn as well, all divisions being equally likely. On several
    axes all skip alike.

    Source: Zhu et al. 2023, "PoSE: Efficient Context Window Extension of LLMs via Positional
    Skip-wise Training", arXiv:2309.10400, section 3. Deviations: chunks follow each other in the
    text, of which the authors' code leaves some out between them; and of two chunks the first may
    be the longer one, which there it never is.

    Args:
        target_length: L, tokens of the longest sequence that the model is to serve.
        n_chunks: Chunks of a sequence, at least 2; a sequence of fewer tokens has one for each.
        per_sequence: Draw anew for every sequence, as in the paper; otherwise one draw serves the
            batch.
        of: Where tokens are before they skip; None counts 0, 1, 2, …

    Raises:
        ValueError: In training, on a sequence longer than `target_length`.
    """

    source = Paper(
        "Zhu et al.",
        2023,
        "PoSE: Efficient Context Window Extension of LLMs via Positional Skip-wise Training",
        "2309.10400",
        "section 3",
    )
    equation = (
        r"p_t' = p_t + u_{\text{chunk}(t)}, \quad u_0 = 0, \quad u_i \sim U\{u_{i-1}, \dots, L -"
        r" T\}"
    )

    def __init__(
        self,
        target_length: int = 2048,
        n_chunks: int = 2,
        per_sequence: bool = True,
        of: Positions | None = None,
    ) -> None:
        super().__init__(of)
        self.target_length = whole(self, "target_length", target_length)
        self.n_chunks = whole(self, "n_chunks", n_chunks, 2)
        self.per_sequence = per_sequence

    def bounds(self, length: int) -> tuple[float, float] | None:
        before = self.of.bounds(length)
        if before is None or not self.training:
            return before
        if isinstance(self.of, Consecutive):
            return 0, self.target_length - 1
        return before[0], before[1] + self.target_length - 1  # of a sequence of one token

    def change(self, positions: Tensor, sequences: Sequences) -> Tensor:
        if not self.training:
            return positions
        length = sequences.length
        if length > self.target_length:
            raise ValueError(
                f"PoSE: a sequence of {length} tokens is longer than target_length="
                f"{self.target_length}: train on shorter ones, or raise target_length"
            )
        rows = sequences.number if self.per_sequence else 1
        shares = torch.rand(rows, 2, self.n_chunks - 1, dtype=torch.float32, device="cpu")
        real = sequences.lengths
        real = torch.tensor([length], device=positions.device) if real is None else real
        skipped = skips(sent(shares, positions.device), real, length, self.target_length)
        return positions + skipped.view(*skipped.shape, *[1] * (positions.dim() - 2))


def skips(shares: Tensor, lengths: Tensor, n_tokens: int, target_length: int) -> Tensor:
    """What each token skips: the same within a chunk, more from chunk to chunk.

    Args:
        shares: (R, 2, N - 1) uniform in [0, 1): where the chunks after the first begin, and how
            far they skip.
        lengths: (R|1,) tokens of each sequence, which alone are cut.
        n_tokens: T, of the longest.
        target_length: L.

    Returns:
        (R, T) int64, 0 at the first token, never falling among a sequence's own.
    """
    of_cuts, of_skips = shares.unbind(dim=1)
    begins = _subset(of_cuts, lengths - 1) + 1
    most = target_length - lengths
    skipped = torch.zeros_like(most).expand(len(shares))
    bias = [skipped]
    for share in of_skips.unbind(dim=1):
        skipped = skipped + _whole(share, most - skipped + 1)
        bias.append(skipped)
    index = torch.arange(n_tokens, device=shares.device)
    chunk = (index >= begins.unsqueeze(2)).sum(dim=1)
    drawn = torch.stack(bias, dim=1).gather(1, chunk)
    # Padding stays within the target too, where a table may end.
    return torch.where(
        index < lengths.unsqueeze(1), drawn, drawn.clamp(max=target_length - n_tokens)
    )


def _subset(shares: Tensor, n: Tensor) -> Tensor:
    """A uniform random subset of 0..n-1, (R, M) in no order; places beyond are n or more."""
    chosen: list[Tensor] = []
    for taken, share in enumerate(shares.unbind(dim=1)):
        place = torch.where(n > taken, _whole(share, n - taken), n)
        for other in torch.stack(chosen, dim=1).sort(dim=1).values.unbind(dim=1) if chosen else ():
            place = place + (place >= other)
        chosen.append(place)
    return torch.stack(chosen, dim=1)


def _whole(share: Tensor, n: Tensor) -> Tensor:
    """Uniform in 0..n-1, which is 0 where n is less than 1; rounding may reach n, and must not."""
    return (share * n).long().minimum(n - 1).clamp(min=0)
