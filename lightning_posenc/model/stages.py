"""Encoders one behind another, each of fewer and wider tokens.

Shapes: B images, R rows and S columns of a grid, T = R·S tokens, D channels of a stage, E of the
next.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import MOST_WIDTH, is_a, number, several, whole
from lightning_posenc.dims import Dims
from lightning_posenc.model.cache import Cache
from lightning_posenc.model.encoder import Encoder
from lightning_posenc.model.memory import Memory
from lightning_posenc.model.stage import Stage
from lightning_posenc.positional import NoPE
from lightning_posenc.positional.base import Factory
from lightning_posenc.positions import Places, Positions
from lightning_posenc.positions.places import on_a_grid


class PatchMerging(nn.Module):
    """Four neighbours of a grid become one token: side by side, normed, and mapped linearly.

    A grid of an odd side is filled up with zeros. Source: Liu et al. 2021, "Swin Transformer",
    arXiv:2103.14030, section 3.1; the norm and the order of the four are the authors' code's.

    Args:
        d_in: D.
        d_out: E.
        std: Standard deviation of the map at initialisation, at least 0.
    """

    def __init__(self, d_in: int, d_out: int, std: float = 0.02) -> None:
        super().__init__()
        whole(self, "d_in", d_in, most=MOST_WIDTH)
        whole(self, "d_out", d_out, most=MOST_WIDTH)
        self.norm = nn.LayerNorm(4 * d_in)
        self.reduction = nn.Linear(4 * d_in, d_out, bias=False)
        nn.init.normal_(self.reduction.weight, std=number(self, "std", std, 0))

    def forward(self, x: Tensor, places: Places) -> tuple[Tensor, Places]:
        """Map (B, T, D) to (B, ⌈R/2⌉·⌈S/2⌉, E), and say where the tokens then stand."""
        assert places.grid is not None
        n_rows, n_columns = places.grid
        cells = x.unflatten(1, (n_rows, n_columns))
        cells = F.pad(cells, (0, 0, 0, n_columns % 2, 0, n_rows % 2))
        four = [cells[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        merged = torch.cat(four, dim=-1)
        n_rows, n_columns = merged.shape[1:3]
        x = self.reduction(self.norm(merged.flatten(1, 2)))
        return x, on_a_grid(n_rows, n_columns, x.device)


class StagedEncoder(Encoder):
    """An encoder over the tokens of a grid, and further ones over ever fewer and wider tokens.

    Between stages, four neighbours become one token. Every stage has an encoding of its own, made
    as the first one's is. The last stage's norm is the only one behind the blocks.

    Args:
        dims: Sizes of the first stage.
        positional: Makes the encoding of a stage from its sizes.
        positions: Where tokens of the first stage are, if nobody says.
        stages: Those behind the first, one at least.
        wiring: The other arguments of `Encoder`, the same for all stages.

    Raises:
        ValueError: If it is causal: a merged token is of what follows its first.
    """

    unobserved: ClassVar[frozenset[str]] = frozenset({"following"})
    """Children that an observation leaves out: it is of the first stage."""

    def __init__(
        self,
        dims: Dims,
        positional: Factory = NoPE,
        positions: Positions | None = None,
        *,
        stages: Sequence[Stage] = (Stage(),),
        **wiring: Any,
    ) -> None:
        given = several(self, "stages", stages)
        for stage in given:
            is_a(self, "stages", stage, Stage)
        super().__init__(dims, positional, positions, **wiring)
        if dims.causal:
            raise ValueError(
                "StagedEncoder: a merged token is of what follows the first of its four: give a "
                "model that is not causal"
            )
        self.merging = nn.ModuleList()
        self.following = nn.ModuleList()
        before: Encoder = self
        std = wiring.get("init_std", 0.02)
        for stage in given:
            sizes = stage.dims(before.dims)
            self.merging.append(PatchMerging(before.dims.d_model, sizes.d_model, std))
            before.norm = nn.Identity()
            before = Encoder(sizes, positional, **wiring)
            self.following.append(before)
        self.out_dims = before.dims

    @property
    def stages(self) -> list[Encoder]:
        """All of them, the first one being this module itself."""
        return [self, *(is_a(self, "following", each, Encoder) for each in self.following)]

    @property
    def all_blocks(self) -> Sequence[nn.Module]:
        return [block for stage in self.stages for block in stage.blocks]

    @property
    def encodings(self) -> nn.Module:
        return nn.ModuleList(stage.positional for stage in self.stages)

    def forward(
        self,
        x: Tensor,
        lengths: Tensor | None = None,
        documents: Tensor | None = None,
        positions: Tensor | Places | None = None,
        tokens: Tensor | None = None,
        cache: Cache | None = None,
        memory: Memory | None = None,
    ) -> Tensor:
        """Encode the tokens (B, T, D) of a grid, of which `positions` tell: (B, T', E).

        Raises:
            ValueError: If they are no grid's, padded or packed.
        """
        if not isinstance(positions, Places) or positions.grid is None:
            raise ValueError(
                "StagedEncoder: wants the tokens of a grid and no others: give Patches with "
                "n_class_tokens=0"
            )
        if lengths is not None or documents is not None:
            raise ValueError("StagedEncoder: serves neither padding nor packed documents")
        x = super().forward(x, None, None, positions, tokens, cache, memory)
        for merging, stage in zip(self.merging, self.stages[1:], strict=True):
            x, positions = merging(x, positions)
            stage.checkpoint_activations = self.checkpoint_activations
            x = stage(x, positions=positions)
        return x
