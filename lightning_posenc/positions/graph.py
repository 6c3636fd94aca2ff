"""Distances in a graph, whose nodes are the tokens."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_posenc.checks import is_a, several, whole, wrong
from lightning_posenc.draws import sent
from lightning_posenc.positions.base import Positions
from lightning_posenc.positions.sequences import Sequences

MOST_NODES = 4096  # whose paths are found in memory of n² and time of n³ log n


class Graph(Positions):
    """One graph for all sequences: token t is node t, its position the distances to all nodes.

    For encodings that take them, such as `GraphDistanceBias`. Where every sequence has a graph of
    its own, a data module hands over `shortest_paths` of the batch as positions instead.

    Args:
        edges: Pairs of nodes, counted from 0, walked both ways.
        n_nodes: Number of nodes, 1 to 4096; None takes the last node that an edge names.
        directed: Walk edges from the first node to the second only.

    Raises:
        ValueError: If an edge is not a pair of nodes, or on a sequence longer than the graph.
    """

    equation = (
        r"p_t = \left( d(t, 0), d(t, 1), \dots \right), \quad "
        r"d = \text{edges on the shortest path}"
    )

    def __init__(
        self, edges: Sequence[Sequence[int]], n_nodes: int | None = None, directed: bool = False
    ) -> None:
        super().__init__()
        nodes = [
            whole(self, "edges", node, 0, MOST_NODES - 1)
            for edge in is_a(self, "edges", edges, Sequence)
            for node in several(self, "edges", edge, 2)
        ]
        last = max(nodes, default=0)
        if n_nodes is None and not nodes:
            raise wrong(self, "edges", edges, "name some nodes, or n_nodes be given")
        n_nodes = last + 1 if n_nodes is None else n_nodes
        if last >= whole(self, "n_nodes", n_nodes, 1, MOST_NODES):
            raise wrong(self, "edges", edges, f"name nodes below n_nodes={n_nodes}")
        self.edges = [list(edge) for edge in edges]
        self.n_nodes, self.directed = n_nodes, directed
        adjacency = torch.zeros(1, n_nodes, n_nodes, dtype=torch.bool, device="cpu")
        for start, end in edges:
            adjacency[0, start, end] = True
            adjacency[0, end, start] |= not directed
        self.distances = self._there = shortest_paths(adjacency)
        self.farthest = int(self.distances.amax())

    def bounds(self, length: int) -> tuple[float, float]:
        return -1, self.farthest

    def forward(self, sequences: Sequences) -> Tensor:
        """(1, T, T): distances among the first T nodes, by paths through the whole graph."""
        length = sequences.length
        if length > self.distances.shape[1]:
            raise ValueError(
                f"Graph: a sequence of {length} tokens needs as many nodes, but the graph has "
                f"n_nodes={self.distances.shape[1]}"
            )
        if self._there.device != sequences.device:  # sent once, and not in every forward
            self._there = sent(self.distances, sequences.device)
        return self._there[:, :length, :length]


def shortest_paths(adjacency: Tensor) -> Tensor:
    """Edges on the shortest path from each node to each other, by breadth-first search.

    Args:
        adjacency: (B, T, T), whether an edge leads from the first node to the second.

    Returns:
        (B, T, T), integer; -1 where there is no path.
    """
    n_nodes = adjacency.shape[-1]
    edges = adjacency.float()
    reached = torch.eye(n_nodes, dtype=torch.bool, device=adjacency.device).expand_as(adjacency)
    distances = torch.where(reached, 0, -1)
    for step in range(1, n_nodes):
        found = (reached.float() @ edges > 0) & ~reached
        if not found.any():
            break
        distances = torch.where(found, step, distances)
        reached = reached | found
    return distances


def check_rows_of_distances(owner: object, positions: Tensor) -> None:
    """Refuse positions that are not each node's distances to all nodes, (B|1, T, T).

    Raises:
        ValueError: Naming whose they are.
    """
    if positions.dim() != 3 or positions.shape[-1] < positions.shape[1]:
        raise ValueError(
            f"{type(owner).__name__}: wants each node's distances to all nodes, (B|1, T, T), "
            f"got {tuple(positions.shape)}: use positions.Graph, or hand over what "
            "positions.shortest_paths gives"
        )
