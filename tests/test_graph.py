"""Distances in a graph, as positions."""

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightning_posenc import Dims, Encoder
from lightning_posenc.draws import Draws
from lightning_posenc.positional import GraphDistanceBias, LaplacianPE, NoPE, RandomWalkPE
from lightning_posenc.positional.absolute.laplacian import of_laplacian
from lightning_posenc.positional.absolute.of_nodes import adjacency
from lightning_posenc.positional.absolute.random_walk import chances_of_return
from lightning_posenc.positions import Graph, Places, Sequences, shortest_paths
from lightning_posenc.tasks import TreeDistance

CPU = torch.device("cpu")
N = 6
edge_lists = st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, N - 1)), max_size=10)


@given(edge_lists, st.booleans())
def test_distances_equal_networkx(edges: list[tuple[int, int]], directed: bool) -> None:
    graph = nx.DiGraph() if directed else nx.Graph()
    graph.add_nodes_from(range(N))
    graph.add_edges_from(edges)
    found = dict(nx.all_pairs_shortest_path_length(graph))
    expected = [[found[i].get(j, -1) for j in range(N)] for i in range(N)]
    assert Graph(edges, n_nodes=N, directed=directed)(Sequences(3, N, CPU)).tolist() == [expected]


def test_shortest_paths_of_a_batch_are_those_of_each_graph() -> None:
    adjacency = torch.rand(4, 7, 7) < 0.2
    together = shortest_paths(adjacency)
    for row, distances in zip(adjacency, together, strict=True):
        assert torch.equal(shortest_paths(row.unsqueeze(0))[0], distances)


def test_a_shorter_sequence_is_the_first_nodes_with_paths_through_all() -> None:
    assert Graph([[0, 3], [3, 1]])(Sequences(1, 2, CPU)).tolist() == [[[0, 2], [2, 0]]]


def test_a_model_with_a_graph_of_its_own_for_every_sequence() -> None:
    model = Encoder(Dims(8, 2, 2), GraphDistanceBias, init_std=0.2)
    x, adjacency = torch.randn(1, 5, 8).expand(2, -1, -1), torch.rand(2, 5, 5) < 0.3
    out = model(x, positions=shortest_paths(adjacency))
    assert out.shape == (2, 5, 8)
    assert not torch.allclose(out[0], out[1])


def test_errors_say_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"edges=\[\[0, 2\]\] must name nodes below n_nodes=2"):
        Graph([[0, 2]], n_nodes=2)
    with pytest.raises(ValueError, match="must name some nodes"):
        Graph([])
    with pytest.raises(ValueError, match="n_nodes=2"):
        Graph([[0, 1]])(Sequences(1, 3, CPU))
    with pytest.raises(ValueError, match=r"positions\.Graph"):
        GraphDistanceBias(Dims(8, 2, 2)).check(Places(torch.arange(4).unsqueeze(0)))


@given(edge_lists)
def test_chances_of_return_are_those_of_the_walk_matrix(edges: list[tuple[int, int]]) -> None:
    graph = nx.Graph()
    graph.add_nodes_from(range(N))
    graph.add_edges_from((a, b) for a, b in edges if a != b)
    edges_of = nx.to_numpy_array(graph)
    walk = edges_of / np.maximum(edges_of.sum(axis=0), 1)
    expected = [np.diag(np.linalg.matrix_power(walk, k)) for k in range(1, 8)]
    distances = Graph([*graph.edges, (0, 0)], n_nodes=N)(Sequences(1, N, CPU))
    found = chances_of_return(adjacency(Places(distances)), 7)
    np.testing.assert_allclose(found[0].T, np.stack(expected), atol=1e-6)


def nearest(edges: list[tuple[int, int]]) -> tuple[np.ndarray, torch.Tensor]:
    """The Laplacian of a graph, and its adjacency as the encoding reads it."""
    graph = nx.Graph()
    graph.add_nodes_from(range(N))
    graph.add_edges_from((a, b) for a, b in edges if a != b)
    of = nx.to_numpy_array(graph)
    root = 1 / np.sqrt(np.maximum(of.sum(axis=0), 1))
    distances = Graph([*graph.edges, (0, 0)], n_nodes=N)(Sequences(1, N, CPU))
    return np.eye(N) - root[:, None] * of * root, adjacency(Places(distances))


@given(edge_lists)
def test_spaces_that_eigenvectors_span_are_those_of_the_laplacian(
    edges: list[tuple[int, int]],
) -> None:
    """Of a repeated eigenvalue no basis is the graph's own: the projector on their space is."""
    laplacian, near = nearest(edges)
    values, vectors = np.linalg.eigh(laplacian)
    found = of_laplacian(near, torch.zeros(1, N, dtype=torch.long), N - 1)[0].numpy()
    np.testing.assert_allclose(found.T @ found, np.eye(N - 1), atol=1e-9)
    for value in np.unique(values.round(6)):
        (own,) = np.nonzero(abs(values - value) < 1e-5)
        if own[0] == 0:  # one of that space, the first, is left out
            own = own[1:]
            residue = laplacian @ found[:, own - 1] - value * found[:, own - 1]
            np.testing.assert_allclose(residue, 0, atol=1e-5)
        else:
            ours, theirs = found[:, own - 1], vectors[:, own]
            np.testing.assert_allclose(ours @ ours.T, theirs @ theirs.T, atol=1e-6)


@given(edge_lists, edge_lists, st.integers(0, 3))
def test_a_graph_has_the_same_vectors_alone_and_packed_behind_another(
    first: list[tuple[int, int]], second: list[tuple[int, int]], padding: int
) -> None:
    """Of repeated eigenvalues, too, and before padding."""
    alone = [nearest(edges)[1][0] for edges in (first, second)]
    packed = torch.block_diag(*alone, torch.zeros(padding, padding))
    graphs = torch.tensor([[0] * N + [1] * N + [2] * padding])
    found = of_laplacian(packed[None], graphs, N - 1)[0]
    for at, edges in ((0, alone[0]), (N, alone[1])):
        own = of_laplacian(edges[None], torch.zeros(1, N, dtype=torch.long), N - 1)[0]
        torch.testing.assert_close(found[at : at + N], own, rtol=0, atol=1e-2)


def test_eigenvectors_of_a_path_are_cosines() -> None:
    n = 9
    distances = (torch.arange(n)[:, None] - torch.arange(n)).abs()[None]
    encoding = LaplacianPE(Dims(8, 2, 2), n_vectors=12).eval()
    found = encoding.numbers(Places(distances))[0]
    degree = torch.full((n,), 2.0)
    degree[[0, -1]] = 1
    t, k = torch.arange(n)[:, None], torch.arange(1, n)
    expected = degree.sqrt()[:, None] * torch.cos(torch.pi * t * k / (n - 1))
    torch.testing.assert_close(found[:, : n - 1], expected / expected.norm(dim=0))
    assert (found[:, n - 1 :] == 0).all()


def test_signs_are_drawn_in_training_for_each_graph_and_stay_in_evaluation() -> None:
    encoding = LaplacianPE(Dims(8, 2, 2), n_vectors=3)
    documents = torch.tensor([[4] * 5 + [9] * 5])
    distances = (torch.arange(10)[:, None] - torch.arange(10)).abs()[None]
    places = Places(distances, documents=documents)
    still = encoding.eval().numbers(places)
    torch.testing.assert_close(still[:, :5], still[:, 5:])
    encoding.train()
    seen = set()
    for _ in range(200):
        signs = encoding.numbers(places) / still
        for graph in (signs[:, :5], signs[:, 5:]):
            usual = graph[:, :1].nan_to_num(nan=1)
            torch.testing.assert_close(graph.nan_to_num(nan=1).abs(), torch.ones(1, 5, 3))
            assert ((graph == usual) | graph.isnan() | (still[:, :5].abs() < 1e-6)).all()
        seen.add(tuple(signs[0, [0, 5]].sign().int().flatten().tolist()))
    assert len(seen) == 2**6


@pytest.mark.slow
def test_leaves_of_trees_are_told_from_other_nodes_by_walks_and_not_without() -> None:
    torch.manual_seed(0)
    for positional, least, most in ((RandomWalkPE, 0.97, 1.0), (NoPE, 0.0, 0.8)):
        model = Encoder(Dims(16, 2, 1), positional, init_std=0.2)
        head = torch.nn.Linear(16, 1)
        parameters = [*model.parameters(), *head.parameters()]
        optimizer = torch.optim.Adam(parameters, lr=1e-2)
        for step in range(100):
            positions = trees(step)
            leaf = ((positions == 1).sum(dim=-1) == 1).float()
            logits = head(model(torch.ones(*leaf.shape, 16), positions=positions)).squeeze(-1)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, leaf)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        right = ((logits > 0) == (leaf > 0)).float().mean()
        assert least <= right <= most


def trees(step: int) -> torch.Tensor:
    """Distances in 32 random trees of ten nodes each."""
    samples = TreeDistance().sample(Draws(0, "train", torch.arange(32 * step, 32 * step + 32)), 10)
    assert samples.positions is not None
    return samples.positions
