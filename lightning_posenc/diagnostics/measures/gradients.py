"""How strong is the gradient that reaches a model through its positional channels?

Every norm is the Euclidean norm of a whole gradient: over sequences, heads, tokens and channels.

Shapes: B sequences, T tokens, S keys, A axes, D = d_model, H heads, K channels of a head,
n <= K/2 rotary planes, L layers.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from lightning_posenc.checks import wrong
from lightning_posenc.compat.torch import start_afresh
from lightning_posenc.diagnostics.measures.positional_share import positional_share
from lightning_posenc.diagnostics.observing.hook_gradients import CHANNELS, tapped
from lightning_posenc.diagnostics.observing.observe import observe
from lightning_posenc.model.encoder import Encoder
from lightning_posenc.positional.rotary.base import Layout
from lightning_posenc.positions import Places

_REFUSALS = (IndexError, TypeError, ValueError, RuntimeError)  # what floats as indices raise


class Scored(Protocol):
    """What is measured: a model that gives the loss of a batch."""

    def score(self, batch: Any, batch_idx: int) -> tuple[Tensor, ...]:
        """The loss (a scalar), then whatever else."""


class ChannelGradients(NamedTuple):
    """Gradients of one batch's loss.

    Args:
        loss: The loss.
        parameters: Norm for each positional parameter, by its name.
        contributions: Norms by channel and layer, of the gradient with respect to what a hook
            handed on: the residual stream after `embed`, queries and keys after `transform`, the
            `bias` that is added to scaled logits, the logits after `rescore`. A layer in which a
            hook did nothing is left out, and so is a channel that does nothing anywhere.
        planes: By layer, (n,) norms of the gradient with respect to the angles by which each rotary
            plane turns queries and keys (1 / radian), in the order of the encoding's frequencies.
        positions: (B|1, T) or (B|1, T, A) gradient with respect to the positions themselves; None
            if the loss does not depend on them smoothly, or the encoding takes whole numbers only.
            Sums to 0 where only distances matter.
        residual: L + 1 norms, of the residual stream before block 0 and after each block.
        share: L + 1 shares in [0, 1]: how much of that gradient's variance position explains; NaN
            with a single sequence.
    """

    loss: float
    parameters: dict[str, float]
    contributions: dict[str, dict[int, float]]
    planes: dict[int, Tensor]
    positions: Tensor | None
    residual: list[float]
    share: list[float]


@torch.enable_grad()
def positional_gradients(
    module: Scored,
    batch: Any,
    batch_idx: int = 0,
    *,
    with_positions: bool = True,
    scale: float = 1.0,
) -> ChannelGradients:
    """Measure the gradients of a batch's loss through every positional channel.

    The model runs in the mode that it is in. No `.grad` is touched, no hook stays. Of a model that
    is not around an `Encoder` of this package the residual stream is measured, and the parameters
    that it names as `positional_parameters`.

    Args:
        module: The model, such as any `EncoderModule`.
        batch: What its `score` takes.
        batch_idx: Likewise.
        with_positions: Whether to measure ∂loss/∂positions too: a second pass with float positions,
            in which a distance bias is evaluated at each of the T·S pairs.
        scale: Factor on the loss while gradients are computed, against underflow in float16. The
            results are those of the loss itself.
    """
    if not hasattr(module, "score"):
        raise wrong("positional_gradients", "module", module, "have a `score`, as an EncoderModule")
    encoder = getattr(module, "encoder", None)
    if not isinstance(encoder, Encoder):
        return _of_stream(module, batch, batch_idx, scale)
    with tapped(encoder) as taps:
        loss = module.score(batch, batch_idx)[0]
        named = {n: p for n, p in encoder.positional.named_parameters() if p.requires_grad}
        taken = list(taps.taken)  # checkpointed blocks run once more, and tap once more
        inputs = [*named.values(), *(tap.tensor for tap in taken)]
        grads = [
            torch.zeros_like(x) if grad is None else grad / scale
            for x, grad in zip(inputs, _grad(loss * scale, inputs), strict=True)
        ]
    norms = torch.stack([torch.linalg.vector_norm(grad.float()) for grad in grads]).tolist()
    of_taps = list(zip(taken, grads[len(named) :], norms[len(named) :], strict=True))

    contributions: dict[str, dict[int, float]] = {}
    planes: dict[int, list[Tensor]] = {}
    for tap, grad, norm in of_taps:
        if tap.kind in CHANNELS:
            layers = contributions.setdefault(tap.kind, {})
            layers[tap.layer] = (layers.get(tap.layer, 0.0) ** 2 + norm**2) ** 0.5
        elif tap.kind == "rotation":
            by_angle = gradient_of_angles(tap.tensor.detach(), grad, *tap.pairing)
            planes.setdefault(tap.layer, []).append(by_angle.square().sum(dim=(0, 1, 2)))
    stream = [(grad, norm) for tap, grad, norm in of_taps if tap.kind == "residual"]
    lengths = getattr(batch, "lengths", None)
    positions: Tensor | None = None
    if with_positions and taps.places is not None:
        positions = _gradient_of_positions(module, encoder, batch, batch_idx, taps.places, scale)
    return ChannelGradients(
        loss=float(loss.detach()),
        parameters=dict(zip(named, norms, strict=False)),
        contributions=contributions,
        planes={layer: torch.stack(sums).sum(dim=0).sqrt() for layer, sums in planes.items()},
        positions=positions,
        residual=[norm for _, norm in stream],
        share=torch.stack([_share(grad, lengths) for grad, _ in stream]).tolist() if stream else [],
    )


def gradient_of_angles(x: Tensor, grad: Tensor, n: int, layout: Layout) -> Tensor:
    """∂L/∂angle of every rotary plane, where a plane (a, b) turns counter-clockwise: a ∂b - b ∂a.

    Args:
        x: (B, H, T, K) turned queries or keys.
        grad: Their gradient.
        n: Planes, in the first 2n channels.
        layout: Which channels make a plane: "half" or "interleaved".

    Returns:
        (B, H, T, n) in float32.
    """
    if layout == "interleaved":
        (a, b), (da, db) = (
            t[..., : 2 * n].float().unflatten(-1, (n, 2)).unbind(-1) for t in (x, grad)
        )
    else:
        (a, b), (da, db) = (t[..., : 2 * n].float().split(n, dim=-1) for t in (x, grad))
    return a * db - b * da


def _share(grad: Tensor, lengths: Tensor | None) -> Tensor:
    return positional_share(grad.float(), lengths) if len(grad) > 1 else grad.new_tensor(math.nan)


def _of_stream(module: Any, batch: Any, batch_idx: int, scale: float) -> ChannelGradients:
    """Gradients by the residual stream and by the positional parameters of anybody's model."""
    named = dict(getattr(module, "positional_parameters", {}))
    named = {name: parameter for name, parameter in named.items() if parameter.requires_grad}
    stream: list[Tensor] = []

    def take(x: Tensor) -> None:
        if not x.requires_grad:  # the embeddings are frozen, or this is a leaf
            x.requires_grad_()
        stream.append(x)

    with observe(module, take_hidden=take, take_attention=lambda _: None):
        loss = module.score(batch, batch_idx)[0]
    inputs = [*named.values(), *stream]
    grads = [
        torch.zeros_like(x) if grad is None else grad / scale
        for x, grad in zip(inputs, _grad(loss * scale, inputs), strict=True)
    ]
    norms = [float(torch.linalg.vector_norm(grad.float())) for grad in grads]
    lengths = getattr(batch, "lengths", None)
    return ChannelGradients(
        loss=float(loss.detach()),
        parameters=dict(zip(named, norms, strict=False)),
        contributions={},
        planes={},
        positions=None,
        residual=norms[len(named) :],
        share=[float(_share(grad, lengths)) for grad in grads[len(named) :]],
    )


def _gradient_of_positions(
    module: Scored, encoder: Encoder, batch: Any, batch_idx: int, places: Places, scale: float
) -> Tensor | None:
    """∂loss/∂positions of a forward pass at the same positions, as float numbers."""
    positions = places.values
    floats = positions.detach().float().requires_grad_()

    def place(_: nn.Module, args: Any, kwargs: Any) -> Any:
        return args, {**kwargs, "positions": floats}

    handle = encoder.register_forward_pre_hook(place, with_kwargs=True)
    try:
        loss = module.score(batch, batch_idx)[0]
    except torch.OutOfMemoryError:
        raise
    except _REFUSALS:
        start_afresh(encoder)
        handle.remove()
        if positions.is_floating_point() or _takes_floats(encoder, positions):
            raise
        return None
    finally:
        handle.remove()
    (grad,) = _grad(loss * scale, [floats])
    return None if grad is None else grad / scale


def _takes_floats(encoder: Encoder, positions: Tensor) -> bool:
    """Whether two tokens can stand at float positions: if not, the encoding takes whole numbers
    only; if so, a pass that failed did so for a reason that somebody shall hear of.
    """
    few = positions[:1, :2].float()
    weight = next(encoder.parameters())
    x = torch.zeros(*few.shape[:2], encoder.dims.d_model, device=weight.device, dtype=weight.dtype)
    try:
        with torch.no_grad():
            encoder(x, positions=few)
    except _REFUSALS:
        start_afresh(encoder)
        return False
    return True


def _grad(loss: Tensor, inputs: Sequence[Tensor]) -> Sequence[Tensor | None]:
    """Gradients, None where the loss does not depend on an input; `.grad` stays as it is."""
    if not loss.requires_grad or not inputs:
        return [None] * len(inputs)
    return torch.autograd.grad(loss, inputs, allow_unused=True)
