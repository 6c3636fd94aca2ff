"""Where a node is in a graph, by how the graph swings.

Shapes: B sequences, T tokens, which are nodes, K eigenvectors.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.checks import whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.absolute.of_nodes import OfNodes, adjacency
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import Places

BAND = 3  # an eigenvalue is 0 to 2
TIE = 1e-8


class LaplacianPE(OfNodes):
    """A linear map of a node's entries in the eigenvectors of its graph's Laplacian.

    x_i = x_i + W [u_1(i), …, u_K(i)], L u = lambda u, L = I - D^(-1/2) A D^(-1/2), |u| = 1;
    tokens are nodes.

    A is the adjacency of the graph, an edge of one direction counting as one of both, and D its
    degrees. u_0, of the smallest eigenvalue, is left out, and u_1 to u_K follow it; entries that a
    graph of K nodes or fewer does not have are 0. Near nodes have near entries, as in sines and
    cosines, which the eigenvectors of a path are. Nodes are neighbours at distance 1, of positions
    as `GraphDistanceBias` takes them. Padding and other documents are no neighbours: each document
    is a graph.

    An eigenvector times -1 is one too. In training the signs are drawn, of each vector of each
    graph; in evaluation the first entry that is at least 0.3 of the largest is positive. Of an
    eigenvalue that several vectors share, only the space that they span is the graph's own: which
    basis of it they are, and which of them are beyond the K-th, the order of the nodes decides (to
    L_ii 1e-8 · sin(i + 1) is added): two ways to number a symmetric graph give two encodings.

    Source: Dwivedi et al. 2021, "A Generalization of Transformer Networks to Graphs",
    arXiv:2012.09699, equation 1; signs, Dwivedi et al. 2020, arXiv:2003.00982. Deviation: W has no
    bias.

    Args:
        dims: Sizes of the model.
        n_vectors: K, 1 to 256.
        dropout: Probability, in training, of a token getting no position, in [0, 1).

    Raises:
        ValueError: If positions are not rows of distances.

    Example:
        >>> from lightning_posenc import Dims, Encoder
        >>> from lightning_posenc.positional import LaplacianPE
        >>> from lightning_posenc.positions import Graph
        >>> encoder = Encoder(Dims(64, 4, 2), LaplacianPE, Graph([[0, 1], [1, 2], [2, 0], [2, 3]]))
    """

    source = Paper(
        "Dwivedi et al.",
        2021,
        "A Generalization of Transformer Networks to Graphs",
        "2012.09699",
    )
    equation = (
        r"x_i \leftarrow x_i + W \left[ u_1(i), \dots, u_K(i) \right], \quad "
        r"L u = \lambda u, \quad L = I - D^{-1/2} A D^{-1/2}"
    )

    def __init__(self, dims: Dims, n_vectors: int = 8, dropout: float = 0.0) -> None:
        self.n_vectors = whole(self, "n_vectors", n_vectors, most=256)
        super().__init__(dims, self.n_vectors, dropout=dropout)

    def numbers(self, places: Places) -> Tensor:
        edges = adjacency(places)
        graphs = graphs_of(places, edges.shape[1])
        vectors = of_laplacian(edges, graphs, self.n_vectors)
        if self.training:
            drawn = torch.randint(0, 2, vectors.shape, device=vectors.device) * 2 - 1
            owner = first_nodes(graphs).unsqueeze(-1).expand_as(vectors)
            vectors = vectors * drawn.gather(1, owner)
        return vectors.float()


def graphs_of(places: Places, length: int) -> Tensor:
    """(B|1, T) which graph of its row a token is a node of: 0, 1, … in order; padding the last."""
    values, documents = places.values, places.documents
    at = torch.arange(length, device=values.device)
    graphs = at.new_zeros(1, length)
    if documents is not None:
        begins = documents[:, 1:] != documents[:, :-1]
        graphs = F.pad(begins.long().cumsum(dim=1), (1, 0))
    if places.lengths is not None:
        graphs = torch.where(at < places.lengths.unsqueeze(1), graphs, graphs[:, -1:] + 1)
    return graphs.expand(len(values) if len(graphs) == 1 else len(graphs), -1)


def first_nodes(graphs: Tensor) -> Tensor:
    """(B, T) the first node of each token's graph."""
    return torch.searchsorted(graphs.contiguous(), graphs.contiguous())


def of_laplacian(edges: Tensor, graphs: Tensor, n_vectors: int) -> Tensor:
    """A node's entries in the eigenvectors after the first, by eigenvalue: (B, T, K), float64.

    All graphs of a row are decomposed at once: the eigenvalues of each are moved behind those of
    the graphs before, so that in order they are those of its nodes.

    Args:
        edges: (B, T, T) adjacency, float32.
        graphs: (B, T) which graph of its row a token is a node of, increasing.
        n_vectors: K.
    """
    edges = torch.maximum(edges, edges.mT).double()
    length = graphs.shape[1]
    roots = edges.sum(dim=-1).clamp(min=1).rsqrt()
    at, first = torch.arange(length, device=edges.device), first_nodes(graphs)
    tie = TIE * (at - first + 1).double().sin()  # whose sums over different nodes all differ
    laplacian = torch.diag_embed(1 + BAND * graphs + tie) - roots.unsqueeze(-1) * edges * (
        roots.unsqueeze(-2)
    )
    vectors = torch.linalg.eigh(laplacian).eigenvectors
    column = first.unsqueeze(-1) + torch.arange(1, n_vectors + 1, device=edges.device)
    last = torch.searchsorted(graphs.contiguous(), graphs.contiguous(), right=True) - 1
    there = column <= last.unsqueeze(-1)
    found = vectors.gather(2, column.clamp(max=length - 1)) * there
    return found * _signs(found, first)


def _signs(vectors: Tensor, first: Tensor) -> Tensor:
    """(B, T, K) of 1 and -1, by which a graph's vectors (B, T, K) have their signs of evaluation.

    Args:
        vectors: Entries of each node in the vectors of its graph.
        first: (B, T) the first node of each token's graph.
    """
    n_rows, length, n_vectors = vectors.shape
    owner = first.unsqueeze(-1).expand_as(vectors)
    none = vectors.new_zeros(n_rows, length, n_vectors)
    largest = none.scatter_reduce(1, owner, vectors.abs(), "amax").gather(1, owner)
    large = vectors.abs() >= 0.3 * largest
    at = torch.arange(length, device=vectors.device).view(1, -1, 1).expand_as(vectors)
    leading = torch.full_like(at, length - 1).scatter_reduce(
        1, owner, torch.where(large, at, length - 1), "amin"
    )
    return torch.where(vectors.gather(1, leading.gather(1, owner)) < 0, -1.0, 1.0)
