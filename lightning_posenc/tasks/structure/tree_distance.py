"""How far is the marked node?"""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch

from lightning_posenc.checks import whole
from lightning_posenc.draws import Draws
from lightning_posenc.tasks.base import Sample, Task


class TreeDistance(Task):
    """The nodes of a random tree, one of them marked: each says how far it is from that one.

    Token t is node t; `positions` are the edges between each two nodes, (B, T, T), as
    `GraphDistanceBias` takes them. The tree grows by joining each new node to a uniform earlier
    one; then the nodes are shuffled. On the path 0 - 2 - 1 with node 1 marked: `o x o` has the
    targets 2, 0, 1.

    It stresses distance in a graph: the order of the tokens tells nothing at all, and the tokens
    themselves only which node is marked.

    Sequences with such positions cannot be padded: train on one length, not on a range of them.

    No source: made for this package.

    Args:
        max_distance: distances from here on are one class, at least 2.

    Raises:
        ValueError: if an argument is too small.
    """

    kind: ClassVar[Literal["sequence", "token"]] = "token"
    vocab_size = 2
    min_length = 3
    symbols = ("o", "x")

    def __init__(self, max_distance: int = 16) -> None:
        self.max_distance = whole(self, "max_distance", max_distance, 2)
        self.n_classes = max_distance + 1

    def sample(self, draws: Draws, length: int) -> Sample:
        self.check_length(length)
        parents = draws.integers(0, torch.arange(1, length), length - 1)
        order = draws.permutation(length)
        mark = draws.integers(0, length)[:, None]
        rows = torch.arange(len(mark))
        # 1 at each node's ancestors and itself: those of its parent, and the node.
        lineage = torch.eye(length, dtype=torch.float32).repeat(len(mark), 1, 1)
        flat = lineage.view(-1, length)
        for node, parent in enumerate((parents + length * rows[:, None]).unbind(1), start=1):
            lineage[:, node] += flat.index_select(0, parent)
        lineage = lineage[rows[:, None], order]
        shared = lineage @ lineage.mT  # nodes on the common way from the root, a whole number
        depth = shared.diagonal(dim1=1, dim2=2).clone()
        distances = shared.mul_(-2).add_(depth[:, :, None]).add_(depth[:, None, :]).long()
        targets = distances[rows, mark[:, 0]].clamp(max=self.max_distance)
        return Sample(torch.zeros_like(order).scatter(1, mark, 1), targets, positions=distances)

    def bag_of_tokens_bound(self, length: int) -> float:
        """Exact: the marked node says 0, all others the commonest distance.

        Let A(d) be the expected number of ordered pairs of nodes at distance d. A new node finds
        at distance d what its uniform parent has at d - 1: A grows by 2 A(d - 1) / n.
        """
        self.check_length(length)
        pairs = torch.zeros(self.max_distance, dtype=torch.float64)  # A(0), A(1), … below the cap
        pairs[0] = 1
        for n in range(1, length):
            pairs[1:] += 2 * pairs[:-1] / n
            pairs[0] += 1
        others = length * (length - 1)
        commonest = max(float(pairs[1:].max()), others - float(pairs[1:].sum())) / others
        return (1 + (length - 1) * commonest) / length

    def show(self, tokens: Sequence[int], targets: int | Sequence[int]) -> str:
        """The tokens, and under them the distances; the tree is in the positions."""
        assert not isinstance(targets, int)
        widths = [len(str(target)) for target in targets]
        marks = map(str.rjust, map(self._printed, tokens), widths)
        return f"{' '.join(marks)}\n{' '.join(map(str, targets))}"
