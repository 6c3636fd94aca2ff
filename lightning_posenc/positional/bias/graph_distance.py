"""A learned scalar for each distance in a graph."""

import torch
from torch import Tensor, nn

from lightning_posenc.checks import number, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import PositionalEncoding, Site
from lightning_posenc.positional.by_distance import gather
from lightning_posenc.positional.layers import of_layer
from lightning_posenc.positions.graph import check_rows_of_distances
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import Places


class GraphDistanceBias(PositionalEncoding):
    """A learned bias for each number of edges between two nodes; tokens are nodes.

    bias_h(i, j) = b_h[edges on the shortest path from i to j], learned; tokens are nodes.

    A node's position is its row of distances to all nodes, whole numbers, -1 where there is no
    path: `positions.Graph` gives those of one graph, `positions.shortest_paths` those of a batch.

    Source: Ying et al. 2021, "Do Transformers Really Perform Bad for Graph Representation?",
    arXiv:2106.05234, "spatial encoding". Deviation: distances beyond `max_distance` share an entry.
    Without the paper's centrality and edge encodings, which do not read positions.

    Args:
        dims: Sizes of the model.
        max_distance: Distances from here on, at least 1, share the entry.
        shared: One table for all layers, as in the paper.
        std: Standard deviation of the table at initialisation, in logits; at least 0.

    Raises:
        ValueError: If positions are not rows of distances.
    """

    source = Paper(
        "Ying et al.",
        2021,
        "Do Transformers Really Perform Bad for Graph Representation?",
        "2106.05234",
        "spatial encoding",
    )
    equation = (
        r"b_h(i, j) = \beta_h\!\left[ d(i, j) \right], \quad "
        r"d(i, j) = \text{edges on the shortest path from } i \text{ to } j"
    )

    crosses = False

    def __init__(
        self, dims: Dims, max_distance: int = 16, shared: bool = True, std: float = 1.0
    ) -> None:
        super().__init__(dims)
        self.max_distance = whole(self, "max_distance", max_distance)
        layers = 1 if shared else dims.n_layers
        self.table = nn.Parameter(torch.empty(layers, dims.n_heads, max_distance + 2))
        nn.init.normal_(self.table, std=number(self, "std", std, 0))

    @property
    def reads_all_keys(self) -> bool:
        return True  # its positions count the nodes

    def check(self, places: Places) -> None:
        check_rows_of_distances(self, places.values)

    def prepare(self, q_places: Places, k_places: Places) -> Tensor:
        """(B|1, H, T, S) if all layers share it; else the entry that each layer reads for each pair
        (B|1, T, S), so that the biases of all never exist at once. The last is that of no path.
        """
        distance = q_places.values[..., : k_places.values.shape[1]]
        distance = distance.round().long() if distance.is_floating_point() else distance
        entry = torch.where(
            distance < 0, self.max_distance + 1, distance.clamp(max=self.max_distance)
        )
        return gather(self.table[0].float(), entry) if len(self.table) == 1 else entry

    def bias(self, site: Site) -> Tensor:
        found: Tensor = site.prepared
        if found.is_floating_point():
            return found
        return gather(of_layer(self.table, site.layer).float(), found)
