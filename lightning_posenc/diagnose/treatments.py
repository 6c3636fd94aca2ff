"""What would make a model right again that is evaluated otherwise than it was trained?

Each treatment undoes one way in which evaluation may differ from training. A model that is
evaluated as it was trained gains nothing from any of them.

Shapes: B sequences, T tokens, C classes.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.data import Batch
from lightning_posenc.diagnose.leaks import placed
from lightning_posenc.diagnose.subject import OwnModel
from lightning_posenc.diagnostics.observing.hook_gradients import replaced
from lightning_posenc.masks import Causal
from lightning_posenc.model.kernels import Kernels
from lightning_posenc.positional.by_distance import written_out
from lightning_posenc.tasks import IGNORE

SHIFTS = (-2, -1, 1, 2)
STRETCHES = (0.25, 0.5, 2, 4)
FACTORS = (0.01, 0.1, 10.0, 100.0)
STRENGTHS = (0.1, 10.0)


class Treatment(NamedTuple):
    """A way to run a model on a batch.

    Args:
        name: What is done, as a sentence says it: "with <name>, …".
        fault: What is wrong if it helps.
        change: What is done to a batch.
        scope: Within what the model runs.
        gradual: Whether a model that is trained too briefly may gain by it as well.
    """

    name: str
    fault: str
    change: Callable[[Batch], Batch]
    scope: Callable[[], AbstractContextManager[Any]] = nullcontext
    gradual: bool = False


def treatments(subject: OwnModel, limit: int | None) -> Iterator[Treatment]:
    """All treatments that this subject can be given.

    Args:
        subject: The model and its data.
        limit: Most tokens that its encoding serves; positions beyond wrap around.
    """

    def at(name: str, fault: str, move: Callable[[Tensor], Tensor]) -> Treatment:
        def change(batch: Batch) -> Batch:
            now = placed(subject, batch)
            outside = now[:, : subject.n_outside]
            positions = move(now[:, subject.n_outside :])
            positions = positions if limit is None else positions % limit
            return batch._replace(positions=torch.cat([outside, positions], dim=1))

        return Treatment(name, fault, change)

    for shift in SHIFTS:
        yield at(f"positions moved by {shift:+d}", "positions are off", partial(_plus, shift))
    for times in STRETCHES:
        yield at(
            f"positions {times:g} times as far apart",
            "positions have another scale",
            partial(_times, times),
        )
    yield at("positions in the opposite order", "positions run backwards", lambda p: p.flip(1))
    if subject.grid is None:
        yield at("positions 0, 1, 2, …", "positions are not those of training", _counted)
    else:
        yield at("rows and columns exchanged", "rows and columns are exchanged", _transposed)
    if subject.vocab_size is not None:
        yield from _of_ids(subject, subject.vocab_size)
    for factor in FACTORS:
        yield Treatment(
            f"attention's logits times {factor:g}",
            LOGITS,
            _same,
            partial(logits_times, subject, factor),
            gradual=True,
        )
        yield Treatment(
            f"token embeddings times {factor:g}",
            "token embeddings have another scale",
            _same,
            partial(_embeddings_times, subject, factor),
            gradual=True,
        )
    for factor in STRENGTHS:
        yield Treatment(
            f"the encoding {factor:g} times as strong",
            "the encoding has another strength",
            _same,
            partial(_encoding_times, subject, factor),
            gradual=True,
        )
    for name, mask in (("every token seen", None), ("the past alone seen", Causal())):
        yield Treatment(
            name, "the mask is not that of training", _same, partial(_masked, subject, mask)
        )


def _of_ids(subject: OwnModel, vocab_size: int) -> Iterator[Treatment]:
    yield Treatment(
        "padding moved from the left to the right",
        "padding stands on the left, and positions count it",
        without_left_padding,
    )
    for by in (-1, 1):
        yield Treatment(
            f"token ids moved by {by:+d}",
            "tokens are numbered otherwise",
            partial(_renumbered, vocab_size, by),
        )


LOGITS = "attention's logits have another scale"


def _plus(shift: int, positions: Tensor) -> Tensor:
    return positions + shift


def _times(factor: float, positions: Tensor) -> Tensor:
    return positions * factor


def _counted(positions: Tensor) -> Tensor:
    places = torch.arange(positions.shape[1], device=positions.device)
    return places.view(1, -1, *[1] * (positions.dim() - 2)).expand_as(positions)


def _transposed(positions: Tensor) -> Tensor:
    return positions.flip(-1)


def _same(batch: Batch) -> Batch:
    return batch


def without_left_padding(batch: Batch) -> Batch:
    """Real tokens first, where most sequences begin with the same token: as it is, where not."""
    tokens = batch.tokens
    pad = tokens[:, 0].mode().values
    n_pads = (tokens == pad).long().cumprod(dim=1).sum(dim=1).clamp(max=tokens.shape[1] - 1)
    if (n_pads > 0).float().mean() < 0.5:
        return batch
    places = torch.arange(tokens.shape[1], device=tokens.device)
    index = (places + n_pads[:, None]) % tokens.shape[1]
    real = tokens.shape[1] - n_pads
    targets = batch.targets
    if targets.shape == tokens.shape:
        targets = targets.gather(1, index).masked_fill(places >= real[:, None], IGNORE)
    return batch._replace(
        tokens=tokens.gather(1, index), targets=targets, lengths=real, positions=None
    )


def _renumbered(vocab_size: int, by: int, batch: Batch) -> Batch:
    return batch._replace(tokens=(batch.tokens + by) % vocab_size)


@contextmanager
def logits_times(subject: OwnModel, factor: float) -> Iterator[None]:
    """Within, q·k of every layer is multiplied; what is added to the logits is not."""

    def scaled(_: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (args[0]._replace(q=args[0].q * factor), *args[1:])

    with ExitStack() as stack:
        for module in subject.encoder.modules():
            if isinstance(module, Kernels):
                stack.callback(module.register_forward_pre_hook(scaled).remove)
        yield


@contextmanager
def _embeddings_times(subject: OwnModel, factor: float) -> Iterator[None]:
    handle = subject.embedding.register_forward_hook(lambda _, args, out: out * factor)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _encoding_times(subject: OwnModel, factor: float) -> Iterator[None]:
    """What is added, to the stream and to the logits; a rotation has no strength."""

    def embed(original: Any, x: Tensor, positions: Tensor, layer: int) -> Tensor:
        out = original(x, positions, layer)
        return x if out is x else x + factor * (out - x)

    def bias(original: Any, site: Any) -> Tensor | None:
        out = original(site)
        return None if out is None else factor * written_out(out)

    encoding = subject.module.positional
    with (
        replaced(encoding, "embed", lambda original: partial(embed, original)),
        replaced(encoding, "bias", lambda original: partial(bias, original)),
    ):
        yield


@contextmanager
def _masked(subject: OwnModel, mask: Causal | None) -> Iterator[None]:
    encoder = subject.encoder
    own = encoder.masks
    try:
        encoder.masks = [mask]
        yield
    finally:
        encoder.masks = own
