"""What is cut away of a copy of a model, to see whether its score comes back.

Each cut undoes what one ailment names, and nothing else.

Shapes: B sequences, T tokens, D = d_model.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import Tensor

from lightning_posenc.diagnose.bounded_logits import bound_logits
from lightning_posenc.diagnose.examination import Examination
from lightning_posenc.diagnose.learning import sound_encoding
from lightning_posenc.modules import EncoderModule
from lightning_posenc.positional import LearnedAbsolute
from lightning_posenc.positional.base import Factory
from lightning_posenc.positions import Consecutive


class Ablation(NamedTuple):
    """Something that is undone in a copy of a model.

    Args:
        ailments: Numbers of those that it undoes.
        done: What is done, as a sentence says it: "with <done>, …".
        change: Does it, in place.
        at_once: Whether the score may come back without further training.
    """

    ailments: frozenset[int]
    done: str
    change: Callable[[EncoderModule, Examination], None]
    at_once: bool = False


def _encoding(make: Callable[[int, int], Factory], module: EncoderModule, e: Examination) -> None:
    """Another encoding, of positions counted from 0."""
    encoder = module.encoder
    weight = next(encoder.blocks.parameters())
    made = make(e.length, e.n_layers)(encoder.dims)
    for mixer, mask in zip(encoder.mixers, [None] * e.n_layers, strict=True):
        mixer.check(made, mask)
    encoder.positional = made.to(weight.device, weight.dtype)
    encoder.positions = Consecutive()


def _sound(length: int, n_layers: int) -> Factory:
    return sound_encoding(length)


def _in_every_layer(length: int, n_layers: int) -> Factory:
    return partial(LearnedAbsolute, max_length=4 * length, layers=list(range(n_layers)))


def _logits_bounded(module: EncoderModule, e: Examination) -> None:
    largest = e.by_layer.get("attn/max_logit")
    if largest is None:
        raise ValueError("attention was not seen")
    bound_logits(module.encoder, largest, raised=True)


def _identity_added(module: EncoderModule, e: Examination) -> None:
    """Every block's input is added to what it gives."""
    for block in module.encoder.blocks:
        block.register_forward_hook(lambda _, args, out: args[0] + out)


def _branches_bounded(module: EncoderModule, e: Examination) -> None:
    """No block adds more to a token than it reads of it."""
    for block in module.encoder.blocks:
        block.register_forward_hook(lambda _, args, out: _bounded(args[0], out))


def _bounded(x: Tensor, out: Tensor) -> Tensor:
    added = out - x
    share = x.norm(dim=-1, keepdim=True) / added.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    return x + added * share.clamp(max=1.0)


ABLATIONS = (
    Ablation(frozenset({7}), "attention's logits bounded", _logits_bounded, at_once=True),
    Ablation(frozenset({8}), "every block's input added to what it gives", _identity_added),
    Ablation(frozenset({9}), "blocks that add no more than they read", _branches_bounded),
    Ablation(
        frozenset({6, 2, 10}),
        "a learned encoding in place of its own",
        partial(_encoding, _sound),
    ),
    Ablation(
        frozenset({1}),
        "positions added again before every block",
        partial(_encoding, _in_every_layer),
    ),
)
