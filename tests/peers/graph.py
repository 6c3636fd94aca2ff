"""Encodings of nodes of a graph, beside others' code."""

from collections.abc import Iterator

import torch
from scipy.linalg import eigh
from scipy.sparse.csgraph import laplacian
from torch import Tensor

from lightning_posenc.positional import LaplacianPE
from lightning_posenc.positional.absolute.of_nodes import adjacency
from lightning_posenc.positions import Graph, Places, Sequences
from tests.peers.base import dims, peer

EDGES = ([0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 6], [1, 5], [2, 6], [2, 7], [7, 8])


@peer("LaplacianPE", "scipy csgraph.laplacian and eigh, but for signs")
def laplacian_pe() -> Iterator[tuple[Tensor, Tensor]]:
    """On a path and on a graph of cycles, whose eigenvalues all differ."""
    for edges in (EDGES, EDGES[:6]):
        n_nodes = max(max(edge) for edge in edges) + 1
        sequences = Sequences(1, n_nodes, torch.device("cpu"))
        places = Places(Graph([list(edge) for edge in edges])(sequences))
        ours = LaplacianPE(dims(), n_vectors=n_nodes - 1).eval().numbers(places)[0]
        matrix = laplacian(adjacency(places)[0].double().numpy(), normed=True)
        values, vectors = eigh(matrix)
        assert min(values[1:] - values[:-1]) > 0.01
        theirs = torch.from_numpy(vectors[:, 1:]).to(ours.dtype)
        yield ours, theirs * (ours * theirs).sum(dim=0).sign()
