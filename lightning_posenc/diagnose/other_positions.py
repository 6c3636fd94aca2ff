"""Which parameters of another package's model are positional, and how exact its positions are.

Shapes: T tokens, n pairs of channels, H heads, D = d_model.
"""

import torch
from torch import Tensor, nn

from lightning_posenc.compat.transformers import (
    RotaryPlace,
    configured_frequencies,
    rotary_places,
)
from lightning_posenc.diagnose.precision import FAR, HALF, Precision
from lightning_posenc.pretrained.where_positions import (
    Buckets,
    InRotation,
    InTable,
    Slopes,
    Unknown,
    WherePositions,
)


def positional_parameters(
    model: nn.Module, positions: WherePositions
) -> dict[str, nn.Parameter] | None:
    """The parameters that hold positions, by name; None if nobody knows which do.

    Of rotary and of ALiBi there are none: their frequencies and slopes are fixed.
    """
    if isinstance(positions, Unknown):
        return None
    names: tuple[str, ...] = ()
    if isinstance(positions, InTable):
        names = positions.names
    elif isinstance(positions, Buckets):
        names = tuple(positions.tables)
    return {name: model.get_parameter(name) for name in names}


@torch.no_grad()
def precision_of(model: nn.Module, positions: WherePositions) -> Precision | None:
    """How far what the model adds for a position is from the same in float32; None if unseen.

    Positions themselves are whole numbers in all families. Rotary: cosines and sines of the
    frequencies that the model holds, against those that its config asks for. Others: the table, the
    biases, rounded to the model's own dtype.
    """
    n_tokens = min(FAR, positions.trained_length or FAR)
    distinct = 1.0
    dtype = next(model.parameters()).dtype
    if isinstance(positions, InRotation):
        errors = [_turning(each, n_tokens) for each in rotary_places(model)]
        known = [error for error in errors if error is not None]
        half = any(each.inv_freq.dtype in HALF for each in rotary_places(model))
        return Precision("int64", n_tokens, distinct, half, max(known, default=None))
    if isinstance(positions, InTable):
        table = model.get_parameter(positions.names[0]).flatten(0, -2)
        distinct = len(table.unique(dim=0)) / len(table)
        return Precision("int64", len(table), distinct, dtype in HALF, _rounding(table, dtype))
    if isinstance(positions, Slopes):
        distances = torch.arange(n_tokens, dtype=torch.float32)
        bias = positions.slopes[:, None] * distances
        return Precision("int64", n_tokens, distinct, dtype in HALF, _rounding(bias, dtype))
    if isinstance(positions, Buckets):
        tables = [model.get_parameter(name) for name in positions.tables]
        error = max(_rounding(table, dtype) for table in tables)
        return Precision("int64", n_tokens, distinct, dtype in HALF, error)
    return None


def _turning(place: RotaryPlace, n_tokens: int) -> float | None:
    """Largest error of a cosine or sine that float32 makes of the frequencies which it holds."""
    wanted = configured_frequencies(place)
    if wanted is None:
        return None
    grows = place.rope_type in ("dynamic", "longrope")  # with the length, as it should
    own = (place.original if grows else place.inv_freq).float().cpu()
    steps = torch.arange(n_tokens)[:, None]
    made = (steps.float() * own).double()  # as the families multiply, whatever the model's dtype
    exact = steps.double() * wanted.double().cpu()
    return float(
        torch.maximum((made.cos() - exact.cos()).abs(), (made.sin() - exact.sin()).abs()).max()
    )


def _rounding(x: Tensor, dtype: torch.dtype) -> float:
    """Largest change of a number by rounding to a dtype, or half a step of it, over the size."""
    size = float(x.float().square().mean().sqrt())
    if size == 0 or dtype not in HALF:
        return 0.0
    return float(x.float().abs().max()) * torch.finfo(dtype).eps / 2 / size
