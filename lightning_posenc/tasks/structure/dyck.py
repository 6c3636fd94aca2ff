"""Which bracket must close next?"""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import IGNORE, Sample, Task
from lightning_posenc.tasks.bounds.mode import expected_mode, guess_another


class Dyck(Task):
    """The start of a well-nested word of brackets: after each one that closes, say which is next.

    Scored are the places of closing brackets where another is still open; the target is the
    bracket that closes the innermost of those. `(2 (0 0) (1 1) 2)` has the targets none, none, 2),
    none, 2), none. After an opening bracket the answer would be its own type, at the end of an
    outermost pair there is none. A short sequence may have no scored place at all.

    It stresses hierarchy: the bracket that counts is the last one without a partner, which may
    be far away, behind any number of closed pairs.

    Source: Hewitt et al. 2020, "RNNs can generate bounded hierarchical languages with optimal
    memory", arXiv:2010.07515, section 2 and the authors' code: Dyck-(k, m), each step opening or
    closing with equal chance, forced to open at depth 0 and to close at depth m. Deviations: words
    do not end at depth 0 but go on until T; scored as accuracy of the bracket's type, as in Yao et
    al. 2021, "Self-Attention Networks Can Process Bounded Hierarchical Languages",
    arXiv:2105.11115, but not after opening brackets.

    Args:
        n_types: k, types of brackets, uniform, at least 2; type i closes with token i and opens
            with token k + i.
        max_depth: m, most brackets open at a time, at least 2.

    Raises:
        ValueError: if an argument is too small.
    """

    kind: ClassVar[Literal["sequence", "token"]] = "token"
    min_length = 3

    def __init__(self, n_types: int = 8, max_depth: int = 3) -> None:
        self.n_types = self.n_classes = whole(self, "n_types", n_types, 2)
        self.max_depth = whole(self, "max_depth", max_depth, 2)
        self.vocab_size = 2 * n_types
        self.symbols = [f"{i})" for i in range(n_types)] + [f"({i}" for i in range(n_types)]

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        m = self.max_depth
        types = draws.integers(0, self.n_types, length)
        # A fair walk on all integers, folded at 0 and at m, is the walk that is forced there.
        walk = (2 * draws.integers(0, 2, length) - 1).cumsum(dim=1)
        depth = m - (m - walk % (2 * m)).abs()
        opens = depth.diff(dim=1, prepend=torch.zeros_like(depth[:, :1])) > 0
        t = torch.arange(length).expand_as(depth)
        innermost = torch.zeros_like(depth)  # place of the innermost bracket open after each token
        for level in range(1, min(m, length) + 1):
            at_level = depth == level
            last = torch.where(opens & at_level, t, 0).cummax(dim=1).values
            innermost = torch.where(at_level, last, innermost)
        inner = types.gather(1, innermost)
        tokens = torch.where(opens, types + self.n_types, inner.roll(1, dims=1))
        return Sample(tokens, inner.masked_fill_(opens | (depth == 0), IGNORE))

    def bag_of_tokens_bound(self, length: int) -> float:
        """An upper bound: what the bag tells if it were known whether the bracket gets closed.

        If the innermost bracket is closed later in the sequence, it is some other one of the C
        pairs than the pair whose end is scored: `guess_another(C, k)`. Otherwise it is one of the
        U that stay open, whose types the bag tells: E[M] / U. The two are weighted by how
        often the walk leads to each.
        """
        self.check_length(length)
        right = total = 0.0
        for u, (closed, stays) in enumerate(self._weights(length).tolist()):
            total += closed + stays
            if closed > 0:
                right += closed * guess_another((length - u) // 2, self.n_types)
            if stays > 0:
                right += stays * expected_mode(u, self.n_types) / u
        return right / total

    def _weights(self, length: int) -> Tensor:
        """Expected scored places by brackets left open and by fate, (m+1, 2) float64.

        Row u: U = u and the innermost bracket is closed later; U = u and it stays open.
        """
        m = self.max_depth
        step = torch.zeros(m + 1, m + 1, dtype=torch.float64)
        for d in range(m):
            step[d, d + 1] = 1 if d == 0 else 0.5
            step[d + 1, d] = 1 if d + 1 == m else 0.5
        never_below = torch.ones(m + 1, m + 1, dtype=torch.float64).triu()
        at = torch.zeros(m + 1, dtype=torch.float64)
        at[0] = 1
        arrivals = []  # [t][d] chance that token t closes a bracket and leaves d open
        end = torch.eye(m + 1, dtype=torch.float64)
        ends, ends_above = [end], [end]  # [s][d, u] chance to get from d to u in s steps
        for _ in range(length):
            arrivals.append(torch.cat([at[1:] * step.diagonal(-1), at[:1] * 0]))
            at = at @ step
            ends.append(ends[-1] @ step)
            ends_above.append(ends_above[-1] @ step * never_below)
        arrive = torch.stack(arrivals)[:, 1:]  # at depth 0 nothing is scored
        to_end, stays = (
            torch.einsum("td,tdu->u", arrive, torch.stack(each[length - 1 :: -1])[:, 1:])
            for each in (ends[:length], ends_above[:length])
        )
        return torch.stack([(to_end - stays).clamp(min=0), stays], dim=1)
