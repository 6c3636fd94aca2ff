"""Which planes of a rotation each layer uses, and which of them finish no turn in training.

Shapes: H heads, n planes.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.compat.transformers import rotary_layout
from lightning_posenc.diagnose.subject import OtherModel
from lightning_posenc.diagnostics.measures.keys_beyond import KeysBeyond, keys_beyond
from lightning_posenc.diagnostics.measures.rotary_bands import band_use
from lightning_posenc.diagnostics.measures.unfinished_turns import unfinished_share
from lightning_posenc.diagnostics.observing.observe import Observation
from lightning_posenc.diagnostics.observing.rotary_planes import RotaryPlanes
from lightning_posenc.model.kernels import Operands
from lightning_posenc.pretrained.frequencies import ALL
from lightning_posenc.pretrained.where_positions import InRotation, WherePositions, text_config


class LayerBands(NamedTuple):
    """What the planes of one layer do.

    Args:
        wavelengths: (H|1, n) steps of a whole turn; infinite where a plane stands still.
        norms: (H, n) the most that a plane can add to a logit, on average.
        shares: (H, n) its share of the variance of the logits.
        unfinished: (H,) sum of the shares of planes that turn and finish no turn.
        extent: Steps of training that this is held against.
        beyond: What keys farther than the extent would take of attention; None where it is not
            planes alone that tell how far a key is.
    """

    wavelengths: Tensor
    norms: Tensor
    shares: Tensor
    unfinished: Tensor
    extent: int
    beyond: KeysBeyond | None = None


Bands = dict[int, LayerBands]
"""By number of the layer, those that turn alone."""


@torch.no_grad()
def measure_bands(seen: Observation, lengths: Tensor | None) -> Bands:
    """Of a pass of a model of this package over sequences as long as those of training."""
    planes = seen.planes
    return {
        layer: layer_bands(operands, planes[layer], lengths)
        for layer, operands in zip(seen.layers, seen.attention, strict=True)
        if layer in planes and operands.score is None
    }


def layer_bands(
    operands: Operands, planes: RotaryPlanes, lengths: Tensor | None = None
) -> LayerBands:
    """Of one layer, on the CPU."""
    use = band_use(operands, planes, lengths)
    beyond = keys_beyond(operands, planes, lengths)
    return LayerBands(
        wavelengths=planes.wavelengths.float().cpu(),
        norms=use.norms.cpu(),
        shares=use.shares.cpu(),
        unfinished=unfinished_share(use.shares, planes).cpu(),
        extent=int(planes.extent),
        beyond=None if beyond is None else KeysBeyond(*(x.cpu() for x in beyond)),
    )


def taken_beyond(bands: Mapping[int, LayerBands]) -> float | None:
    """Share of attention that keys beyond the trained length would take: the mean over layers;
    None if none of them says.
    """
    found = [each.beyond.of_layer.item() for each in bands.values() if each.beyond is not None]
    return sum(found) / len(found) if found else None


def planes_of_other(subject: OtherModel, positions: WherePositions) -> dict[int, RotaryPlanes]:
    """The planes of another package's model, by number of the layer.

    None where its layers are not known to turn by one map each, or where nobody knows which
    channels are partners.

    Args:
        subject: The model.
        positions: How it knows order.
    """
    model = subject.pretrained.model
    layout = rotary_layout(model)
    if not isinstance(positions, InRotation) or layout is None:
        return {}
    config = text_config(model)
    n_layers = config.num_hidden_layers
    kinds = getattr(config, "layer_types", None)
    if set(positions.maps) == {ALL}:
        kinds = [ALL] * n_layers
    if not kinds or not set(kinds) <= set(positions.maps):
        return {}
    found = {}
    for layer, kind in enumerate(kinds):
        if layer not in positions.without:
            length = positions.lengths.get(kind) or positions.trained_length or subject.length
            inv_freq = positions.maps[kind].inv_freq[None]
            found[layer] = RotaryPlanes(layout, inv_freq, torch.tensor(length))
    return found
