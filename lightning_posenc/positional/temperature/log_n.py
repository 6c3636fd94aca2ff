"""Logits that grow with ln n beyond the trained length."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from lightning_posenc.checks import whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.temperature.base import QueryTemperature
from lightning_posenc.positions.paper import Paper


class LogN(QueryTemperature):
    """Queries times max(1, ln n / ln L): nothing up to the trained length L, sharper beyond.

    It has no parameters, so that it can be given to a trained model. Source: Su 2021, "Attention's
    scaling from the invariance of entropy" (kexue.fm/archives/8823), as ReRoPE and Qwen have it
    (`use_logn_attn`; Bai et al. 2023, "Qwen Technical Report", arXiv:2309.16609).

    Args:
        dims: Sizes of the model.
        trained_length: L, at least 2.

    Raises:
        ValueError: If trained_length is below 2.

    Example:
        >>> from functools import partial
        >>> from lightning_posenc import Dims, Encoder
        >>> from lightning_posenc.positional import Chain, LogN, RoPE
        >>> longer = Chain.of(RoPE, partial(LogN, trained_length=512))
        >>> encoder = Encoder(Dims(64, 4, 2, causal=True), longer)
    """

    source = Paper("Bai et al.", 2023, "Qwen Technical Report", "2309.16609")
    equation = r"q_n \leftarrow q_n \max\!\left( 1, \frac{\ln n}{\ln L} \right)"

    shows_with: ClassVar[Mapping[str, Any]] = {"trained_length": 2}

    def __init__(self, dims: Dims, trained_length: int = 512) -> None:
        super().__init__(dims)
        self.trained_length = whole(self, "trained_length", trained_length, 2)

    def temperature(self, n: Tensor, layer: int) -> Tensor:
        return (n.log() / math.log(self.trained_length)).clamp(min=1)
