"""Encoders one behind another, each of fewer and wider tokens.

Shapes: B images, T tokens of a grid and T' of the last stage's, D channels of the first stage, E
of the last.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from lightning_posenc.checks import is_a, made, several
from lightning_posenc.dims import Dims
from lightning_posenc.model.cache import Cache
from lightning_posenc.model.encoder import Encoder
from lightning_posenc.model.memory import Memory
from lightning_posenc.model.merging import Merging
from lightning_posenc.model.stage import Stage
from lightning_posenc.positional import NoPE
from lightning_posenc.positional.base import Factory
from lightning_posenc.positions import Places, Positions


class StagedEncoder(Encoder):
    """An encoder over the tokens of a grid, and further ones over ever fewer and wider tokens.

    Between stages, neighbours become one token. Every stage has an encoding of its own, made as the
    first one's is unless the stage says otherwise; likewise its mixers and its feed-forward. The
    last stage's norm is the only one behind the blocks.

    Args:
        dims: Sizes of the first stage.
        positional: Makes the encoding of a stage from its sizes.
        positions: Where tokens of the first stage are, if nobody says.
        stages: Those behind the first, one at least.
        wiring: The other arguments of `Encoder`, those of the first stage, and of all others but
            for what a `Stage` says itself.

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
            widths = before.dims.d_model, sizes.d_model
            merging: Merging = made(stage, "merging", stage.merging, Merging, *widths, std)
            self.merging.append(merging)
            before.norm = nn.Identity()
            before = Encoder(sizes, stage.positional or positional, **{**wiring, **stage.wiring})
            self.following.append(before)
            self.n_class_tokens = merging.n_class_tokens
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
        if not isinstance(positions, Places) or positions.grid is None or positions.n_outside:
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
