"""The logits of some places at a time: the blocks run once, the head as often as it takes.

At 8,192 tokens and 49,152 symbols the whole logits are 1.6 GB, more than the rest of a small model.

Shapes: B sequences, T tokens, t of them at a time, V symbols, D = d_model.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightning_posenc.pretrained.calling import uncached

NUMBERS = 1 << 22  # logits at a time, 16 MB of float32
Rows = slice | Tensor


@torch.no_grad()
def logits_by_rows(
    model: Any, tokens: Tensor, rows: Sequence[Rows] | None = None, **inputs: Any
) -> Iterator[tuple[Rows, Tensor]]:
    """Give the logits of successive places.

    The head is the model's own, with all that it does to states and logits (a soft cap, a scale, a
    masked model's transform): its `forward` is run on what the blocks gave, some rows at a time.
    Where a model does not call its body as a module of its own, all logits are made at once.

    Args:
        model: A language model of Hugging Face, in evaluation mode.
        tokens: (B, T) ids, on any device.
        rows: Which places, by slices or index tensors; None for all, in blocks of NUMBERS logits.
        **inputs: Of its forward: `position_ids`, `attention_mask`.

    Yields:
        The places, and their logits (B, t, V) on the model's device, in its dtype.
    """
    tokens = tokens.to(model.device)
    inputs = {**uncached(model), **inputs}
    if rows is None:
        rows = blocks_of_rows(model, tokens)
    body = _body(model, tokens)
    if body is None:
        logits = model(input_ids=tokens, **inputs).logits
        for each in rows:
            yield each, logits[:, each]
        return
    states = _states(model, body, tokens, inputs)
    inner = {name: value for name, value in inputs.items() if name == "use_cache"}
    for each in rows:
        with _given(body, _with_states(states, each)):
            logits = model(input_ids=tokens[:, each], **inner).logits
        yield each, logits


def blocks_of_rows(model: Any, tokens: Tensor) -> list[Rows]:
    """Slices that cover all places, of at most NUMBERS logits each."""
    n_sequences, n_tokens = tokens.shape
    step = max(1, NUMBERS // (n_sequences * model.config.get_text_config().vocab_size))
    return [slice(start, min(start + step, n_tokens)) for start in range(0, n_tokens, step)]


class _Place(NamedTuple):
    """A module within its owner."""

    owner: nn.Module
    name: str

    @property
    def module(self) -> nn.Module:
        return self.owner.get_submodule(self.name)


def _body(model: Any, tokens: Tensor) -> _Place | None:
    """The module that gives the states which the head reads, found by a run of one token.

    It is the one of `base_model_prefix`; OPT's head calls the decoder within that one instead.
    """
    prefix = model.base_model_prefix
    base = dict(model.named_children()).get(prefix)
    if base is None:
        return None
    places = [_Place(model, prefix)]
    if "decoder" in dict(base.named_children()):
        places.append(_Place(base, "decoder"))
    ran: list[_Place] = []
    with ExitStack() as stack:
        for place in places:
            handle = place.module.register_forward_pre_hook(
                lambda *_, place=place: ran.append(place)
            )
            stack.callback(handle.remove)
        model(input_ids=tokens[:1, :1], **uncached(model))
    return ran[0] if ran else None  # the outermost enters first


def _states(model: Any, body: _Place, tokens: Tensor, inputs: dict[str, Any]) -> Any:
    """What the body gives for all tokens, while the head sees the first alone."""
    found: list[Any] = []

    def keep(module: nn.Module, args: Any, output: Any) -> Any:
        found.append(output)
        return _with_states(output, slice(1))

    handle = body.module.register_forward_hook(keep)
    try:
        model(input_ids=tokens, **inputs)
    finally:
        handle.remove()
    return found[0]


def _with_states(output: Any, rows: Rows) -> Any:
    """The same output with the last states of some rows."""
    if isinstance(output, tuple):
        return (output[0][:, rows], *output[1:])
    return type(output)(**{**output, "last_hidden_state": output.last_hidden_state[:, rows]})


class _Given(nn.Module):
    """Stands for a body and gives what it gave; whatever else is asked of it, the body answers."""

    def __init__(self, body: nn.Module, output: Any) -> None:
        super().__init__()
        self.__dict__["body"] = body  # not as a part of this module
        self.__dict__["output"] = output

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["body"], name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.__dict__["output"]


@contextmanager
def _given(place: _Place, output: Any) -> Iterator[None]:
    """Put a stand-in in a body's place: no hook on the body runs again."""
    body = place.module
    setattr(place.owner, place.name, _Given(body, output))
    try:
        yield
    finally:
        setattr(place.owner, place.name, body)
