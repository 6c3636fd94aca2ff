"""What several rotations make of the pairs that another rotation is meant for.

Shapes: B sequences, H heads, G key-value heads, T queries, S keys, K channels of a head, N
branches.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.positional.by_distance import Some, Unwritten, written_out

MANY = 2**16  # pairs beyond which products are better made again than kept


class Branched(NamedTuple):
    """A bias (B, H, T, S), told by queries and keys turned in several ways.

    Of a pair for which branch n is meant it is scale · (q_n · k_n - q_0 · k_0): added to the logit
    that attention makes of the first branch it gives that of branch n. It is written out for some
    queries at a time, in float32.

    Args:
        queries: N of (B, H, T, K), the first of them as attention has them.
        keys: N of (B, G, S, K), likewise.
        chosen: Maps positions (B|1, T, 1) and (B|1, 1, S) to the number of the branch (B|1, T, S).
        q_pos: (B|1, T).
        k_pos: (B|1, S).
        scale: Factor on products.
    """

    queries: tuple[Tensor, ...]
    keys: tuple[Tensor, ...]
    chosen: Callable[[Tensor, Tensor], Tensor]
    q_pos: Tensor
    k_pos: Tensor
    scale: float

    @property
    def requires_grad(self) -> bool:
        """Whether queries or keys learn."""
        return any(x.requires_grad for x in (*self.queries, *self.keys))

    @property
    def is_large(self) -> bool:
        """Whether there are too many pairs to write them out at once."""
        return self.q_pos.shape[1] * self.k_pos.shape[1] > MANY

    def of(self, queries: Some, keys: Some = slice(None)) -> "Branched":
        """That of some of the queries and keys."""
        return self._replace(
            queries=tuple(q[:, :, queries] for q in self.queries),
            keys=tuple(k[:, :, keys] for k in self.keys),
            q_pos=self.q_pos[:, queries],
            k_pos=self.k_pos[:, keys],
        )

    def first(self, n: int) -> "Branched":
        """That of the first n sequences."""
        return self._replace(
            queries=tuple(q[:n] for q in self.queries),
            keys=tuple(k[:n] for k in self.keys),
            q_pos=self.q_pos[:n],
            k_pos=self.k_pos[:n],
        )

    def written_out(self) -> Tensor:
        """(B, H, T, S)."""
        branch = self.chosen(self.q_pos.unsqueeze(2), self.k_pos.unsqueeze(1)).unsqueeze(1)
        with torch.autocast(branch.device.type, enabled=False):
            plain = self._products(0)
            total = torch.zeros_like(plain)
            for n in range(1, len(self.queries)):
                total = torch.where(branch == n, self._products(n) - plain, total)
        return total

    def _products(self, branch: int) -> Tensor:
        q, k = self.queries[branch], self.keys[branch]
        dtype = torch.promote_types(q.dtype, torch.float32)
        q, k = q.to(dtype) * self.scale, k.to(dtype)
        grouped = q.unflatten(1, (k.shape[1], -1)).flatten(2, 3)
        return (grouped @ k.mT).unflatten(2, (-1, q.shape[2])).flatten(1, 2)

    def __add__(self, other: "Tensor | Unwritten") -> Tensor:  # type: ignore[override]
        """The sum with another bias, written out."""
        return self.written_out() + written_out(other)

    def __radd__(self, other: Tensor) -> Tensor:
        return self + other
