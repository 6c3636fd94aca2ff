"""Distances in a graph, whose nodes are the tokens."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_posenc.positions.base import Positions


class Graph(Positions):
    """One graph for all sequences: token t is node t, its position the distances to all nodes.

    For encodings that take them, such as `GraphDistanceBias`. Where every sequence has a graph of
    its own, a data module hands over `shortest_paths` of the batch as positions instead.

    Args:
        edges: Pairs of nodes, counted from 0, walked both ways.
        n_nodes: Number of nodes; None takes the last node that an edge names.
        directed: Walk edges from the first node to the second only.

    Raises:
        ValueError: If an edge is not a pair of nodes, or on a sequence longer than the graph.
    """

    def __init__(
        self, edges: Sequence[Sequence[int]], n_nodes: int | None = None, directed: bool = False
    ) -> None:
        super().__init__()
        nodes = [node for edge in edges for node in edge]
        n_nodes = max(nodes, default=-1) + 1 if n_nodes is None else n_nodes
        wrong = [
            edge for edge in edges if len(edge) != 2 or not 0 <= min(edge) <= max(edge) < n_nodes
        ]
        if wrong or n_nodes < 1:
            raise ValueError(
                f"Graph: with {n_nodes} nodes, edges must be pairs of 0..{n_nodes - 1}, got "
                f"{list(wrong[0]) if wrong else 'none'}"
            )
        adjacency = torch.zeros(1, n_nodes, n_nodes, dtype=torch.bool)
        for start, end in edges:
            adjacency[0, start, end] = True
            adjacency[0, end, start] |= not directed
        self.distances = shortest_paths(adjacency)

    def forward(
        self,
        n_sequences: int,
        length: int,
        device: torch.device,
        documents: Tensor | None = None,
        tokens: Tensor | None = None,
    ) -> Tensor:
        """(1, T, T): distances among the first T nodes, by paths through the whole graph."""
        if length > self.distances.shape[1]:
            raise ValueError(
                f"Graph: a sequence of {length} tokens needs as many nodes, but the graph has "
                f"n_nodes={self.distances.shape[1]}"
            )
        return self.distances[:, :length, :length].to(device)


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
