"""Llama 4's temperature of attention."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from lightning_posenc.checks import number, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.temperature.base import QueryTemperature
from lightning_posenc.positions.paper import Paper


class Llama4Temperature(QueryTemperature):
    """Queries times 1 + β·ln(1 + floor(n/L)), which grows by a step at each multiple of L.

    Llama 4 has it in its layers without RoPE:
    `PerLayer.of(RoPE, RoPE, RoPE, Llama4Temperature)`. Ministral 3 and Mistral 4 have it in all,
    with floor((n - 1)/L). Source: Meta 2025, "The Llama 4 herd" (its released code); the idea is
    that of Nakanishi 2025, arXiv:2501.19399.

    Args:
        dims: Sizes of the model.
        beta: β, in [0, 10].
        floor: L, at least 1.
        counts_itself: Whether the query's own place counts, as in Llama 4.

    Raises:
        ValueError: If a number is out of range.
    """

    source = Paper("Nakanishi", 2025, "Scalable-Softmax Is Superior for Attention", "2501.19399")
    equation = (
        r"q_n \leftarrow q_n \left( 1 + \beta \ln\!\left( 1 + \lfloor n / L \rfloor \right) \right)"
    )

    shows_with: ClassVar[Mapping[str, Any]] = {"floor": 2}

    def __init__(
        self, dims: Dims, beta: float = 0.1, floor: int = 8192, counts_itself: bool = True
    ) -> None:
        super().__init__(dims)
        self.beta = number(self, "beta", beta, 0, 10)
        self.floor = whole(self, "floor", floor, 1)
        self.counts_itself = counts_itself

    def temperature(self, n: Tensor, layer: int) -> Tensor:
        counted = n if self.counts_itself else n - 1
        return 1 + self.beta * (counted / self.floor).floor().log1p()
