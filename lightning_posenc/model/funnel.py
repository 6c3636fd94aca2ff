"""Stages of blocks over ever fewer tokens, and the rest over all of them again.

Shapes: B sequences, T tokens, L of them before padding, D = d_model.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, TypeAlias, final

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.checks import several, whole, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.masks import Mask, Padding, Visibility
from lightning_posenc.model.mixers.base import Context
from lightning_posenc.positions import Places
from lightning_posenc.positions.paper import Paper

Run: TypeAlias = Callable[[Tensor, Context, range], Tensor]
"""Runs the stream through the blocks of some layers."""


@final
class Funnel:
    """Between stages, neighbours become their mean; after the last, each mean is repeated in the
    places that it is of, and what the first stage gave is added; the other blocks read that.

    Whatever mixes tokens mixes the means, each of which stands where its first token stood: so an
    encoding sees steps of s, s², … in later stages. Padding is in no mean. A stage of T / s tokens
    costs 1/s of a whole one, or 1/s² where mixing does. A causal model is refused, for a mean is of
    what follows its first token.

    Source: Dai et al. 2020, arXiv:2006.03236, section 2.2. Deviations: the first block of a stage
    reads the means for keys and values too, as in Hugging Face's `pool_q_only=false`; no token is
    kept apart from the others.

    Args:
        stages: Blocks of each stage, two stages at least. What is left of the model's layers, at
            least one, comes after the up-sampling.
        stride: s, tokens that become one, at least 2.
    """

    source: ClassVar[Paper] = Paper(
        "Dai et al.",
        2020,
        "Funnel-Transformer: Filtering out Sequential Redundancy for Efficient Language Processing",
        "2006.03236",
        "section 2.2",
    )

    def __init__(self, stages: Sequence[int] = (1, 1), stride: int = 2) -> None:
        given = several(self, "stages", stages)
        self.stages = [whole(self, "stages", each, most=10_000) for each in given]
        if len(self.stages) < 2:
            raise wrong(self, "stages", self.stages, "name two stages at least")
        self.stride = whole(self, "stride", stride, 2, 1024)

    def check(self, dims: Dims, patterns: Sequence[Mask | None], reversible: bool) -> None:
        """Refuse an encoder that asks for what goes with no pooling.

        Args:
            dims: Sizes of the model.
            patterns: Its masks.
            reversible: Whether its stream is one that is run backwards.

        Raises:
            ValueError: Naming it.
        """
        if dims.causal:
            raise ValueError(
                "Funnel: a mean is of tokens that follow the first of them: give a model that is "
                "not causal"
            )
        if sum(self.stages) >= dims.n_layers:
            raise ValueError(
                f"Funnel: stages={self.stages} take {sum(self.stages)} of n_layers="
                f"{dims.n_layers}, and one at least is to come after them: give more "
                "layers, or fewer stages, as funnel.stages=[1]"
            )
        if any(pattern is not None for pattern in patterns):
            raise ValueError("Funnel: a mask is of tokens and not of means: leave out encoder.mask")
        if reversible:
            raise ValueError("Funnel: pooling cannot be run backwards: choose another residual")

    def through(self, run: Run, n_layers: int, x: Tensor, context: Context) -> Tensor:
        """Run the stream (B, T, D) through all blocks.

        Args:
            run: Runs it through some.
            n_layers: How many there are.
            x: The stream before the first of them.
            context: What layers of all tokens share.

        Raises:
            ValueError: If documents are packed: a mean would be of two.
        """
        if context.q_places.documents is not None:
            raise ValueError(
                "Funnel: does not serve packed documents: let tokens see across them "
                "(separate_documents=false)"
            )
        layer = self.stages[0]
        x = of_all = run(x, context, range(layer))
        fewer = context
        for n_blocks in self.stages[1:]:
            x = pooled(x, self.stride, fewer.q_places.lengths)
            fewer = self._fewer(fewer, x)
            x = run(x, fewer, range(layer, layer + n_blocks))
            layer += n_blocks
        repeated = x.repeat_interleave(self.stride ** (len(self.stages) - 1), dim=1)
        x = of_all + repeated[:, : of_all.shape[1]]
        return run(x, context, range(layer, n_layers))

    def _fewer(self, context: Context, x: Tensor) -> Context:
        """What layers share once tokens are pooled to x."""
        places, n_tokens = context.q_places, x.shape[1]
        lengths = places.lengths
        if lengths is not None:
            lengths = (lengths + self.stride - 1) // self.stride
        fewer: Places = places._replace(
            values=places.values[:, :: self.stride], lengths=lengths, grid=None
        )
        with torch.autocast(x.device.type, enabled=False):
            prepared = context.positional.prepare(fewer, fewer)
        mask = None if lengths is None else Padding(lengths)
        return Context(
            context.positional,
            fewer,
            fewer,
            prepared,
            [Visibility(mask, n_tokens, n_tokens, x.device)],
            prepared_at_hand=prepared,
        )


def pooled(x: Tensor, stride: int, lengths: Tensor | None = None) -> Tensor:
    """The mean of each `stride` neighbours that are no padding: (B, T, D) to (B, ⌈T / s⌉, D).

    Args:
        x: (B, T, D).
        stride: s.
        lengths: (B,) L; None if all are full.
    """
    n_tokens = x.shape[1]
    of_each = torch.full((1,), n_tokens, device=x.device) if lengths is None else lengths
    real = torch.arange(n_tokens, device=x.device) < of_each.unsqueeze(1)
    missing = -n_tokens % stride
    parts = F.pad(x * real.unsqueeze(-1), (0, 0, 0, missing)).unflatten(1, (-1, stride))
    counts = F.pad(real, (0, missing)).unflatten(1, (-1, stride)).sum(dim=-1).clamp(min=1)
    return parts.sum(dim=2) / counts.unsqueeze(-1).to(x.dtype)
