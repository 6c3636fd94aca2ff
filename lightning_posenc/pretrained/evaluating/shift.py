"""Do logits stay where they are when all positions grow by the same number?

Shapes: B sequences, T tokens, t places, V symbols (or D channels).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lightning_posenc.checks import several, whole
from lightning_posenc.pretrained.calling import takes, uncached
from lightning_posenc.pretrained.evaluating.logits import logits_by_rows

if TYPE_CHECKING:
    from lightning_posenc.pretrained.reading import Pretrained

PLACES = 32  # whose logits are compared


def shift_test(
    pretrained: "Pretrained", tokens: Tensor, by: Sequence[int], start: int = 0
) -> dict[int, float]:
    """Run with positions start + c, start + c + 1, … and compare the logits with those of c = 0.

    Of an encoding that knows distances alone nothing may move but by rounding. What moves: rotary
    positions or frequencies in half precision (arXiv:2411.13476), frequencies that depend on the
    largest position, a table of absolute positions, for which it is right.

    Args:
        pretrained: A model whose forward takes `position_ids`; of one without a head, the states
            are compared instead of the logits.
        tokens: (B, T).
        by: Numbers c that are added, at least 0.
        start: The first position that the model itself takes.

    Returns:
        By c, the root mean square of the logits' change over their spread about each place's mean,
        at up to PLACES places.

    Raises:
        ValueError: If the model takes no positions.
    """
    if not takes(pretrained.model, "position_ids"):
        raise ValueError(
            f"{type(pretrained.model).__name__} takes no position_ids, so none can be moved"
        )
    places = torch.linspace(0, tokens.shape[1] - 1, PLACES).long().unique()
    own = start + torch.arange(tokens.shape[1], device=tokens.device)[None]

    def outputs(positions: Tensor) -> Tensor:
        given = positions.to(pretrained.device).expand(len(tokens), -1)
        return _outputs(pretrained, tokens, places, given)

    before = outputs(own)
    spread = (before - before.mean(dim=-1, keepdim=True)).square().mean().sqrt()
    changes = {}
    for c in several(shift_test, "by", by):
        whole(shift_test, "by", c, 0)
        changes[c] = float((outputs(own + c) - before).square().mean().sqrt() / spread)
    return changes


@torch.no_grad()
def _outputs(pretrained: "Pretrained", tokens: Tensor, places: Tensor, positions: Tensor) -> Tensor:
    """Logits (B, t, V) of some places, or states."""
    model = pretrained.model
    if pretrained.has_head:
        ((_, found),) = logits_by_rows(model, tokens, [places], position_ids=positions)
    else:
        tokens = tokens.to(pretrained.device)
        states = model(input_ids=tokens, position_ids=positions, **uncached(model))
        found = states.last_hidden_state[:, places]
    return found.double().cpu()
