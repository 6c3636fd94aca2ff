"""Where a node is in a graph, by how often a walk comes back to it.

Shapes: B sequences, T tokens, K steps.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.absolute.of_nodes import OfNodes, adjacency
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import Places


class RandomWalkPE(OfNodes):
    """A linear map of the chances that a random walk is back at its node after 1 to K steps.

    x_i = x_i + W [RW_ii, (RW^2)_ii, …, (RW^K)_ii], RW = A D^-1; tokens are nodes.

    A is the adjacency of the graph, D its degrees. So a node is known by the shape of the graph
    around it, alike for all nodes that no such shape tells apart; which nodes are near each other
    it does not say: `Chain.of(RandomWalkPE, GraphDistanceBias)` does. Nodes are neighbours at
    distance 1, of positions as `GraphDistanceBias` takes them: those of `positions.Graph`, of
    `positions.shortest_paths`, of the task `TreeDistance`. Padding and other documents are no
    neighbours.

    Source: Dwivedi et al. 2022, "Graph Neural Networks with Learnable Structural and Positional
    Representations", arXiv:2110.07875, its RWPE. Deviation: they are added to a Transformer's
    stream, as Laplacian eigenvectors are in arXiv:2012.09699, and not learned on through layers.

    Args:
        dims: Sizes of the model.
        n_steps: K, 1 to 256.
        layers: Before which blocks, counted from 0.
        dropout: Probability, in training, of a token getting no position, in [0, 1).

    Raises:
        ValueError: If positions are not rows of distances.

    Example:
        >>> from lightning_posenc import Dims, Encoder
        >>> from lightning_posenc.positional import RandomWalkPE
        >>> from lightning_posenc.positions import Graph
        >>> encoder = Encoder(Dims(64, 4, 2), RandomWalkPE, Graph([[0, 1], [1, 2], [2, 0], [2, 3]]))
    """

    source = Paper(
        "Dwivedi et al.",
        2022,
        "Graph Neural Networks with Learnable Structural and Positional Representations",
        "2110.07875",
    )
    equation = (
        r"x_i \leftarrow x_i + W \left[ R_{ii}, (R^2)_{ii}, \dots, (R^K)_{ii} \right], \quad "
        r"R = A D^{-1}"
    )

    def __init__(
        self,
        dims: Dims,
        n_steps: int = 16,
        layers: Sequence[int] = (0,),
        dropout: float = 0.0,
    ) -> None:
        self.n_steps = whole(self, "n_steps", n_steps, most=256)
        super().__init__(dims, self.n_steps, layers, dropout)

    def numbers(self, places: Places) -> Tensor:
        return chances_of_return(adjacency(places), self.n_steps)


def chances_of_return(edges: Tensor, n_steps: int) -> Tensor:
    """How likely a random walk is back after 1 to K steps: (B|1, T, K).

    Args:
        edges: (B|1, T, T) adjacency.
        n_steps: K.
    """
    step = edges / edges.sum(dim=-2, keepdim=True).clamp(min=1)
    walk, found = step, [step.diagonal(dim1=-2, dim2=-1)]
    for _ in range(n_steps - 1):
        walk = walk @ step
        found.append(walk.diagonal(dim1=-2, dim2=-1))
    return torch.stack(found, dim=-1)
