"""What the encoding of another package's model adds, by channel and layer.

Shapes: B sequences, T tokens, S keys, H heads, L blocks, K channels of a head.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lightning_posenc.diagnose.gradients import spread
from lightning_posenc.diagnose.subject import OtherModel
from lightning_posenc.diagnostics.observing.blocks import find_stack
from lightning_posenc.diagnostics.observing.functions import AttentionWatch
from lightning_posenc.model.kernels import Operands
from lightning_posenc.pretrained.where_positions import (
    Buckets,
    InRotation,
    InTable,
    Slopes,
    WherePositions,
)

TURNS = "position_embeddings"  # the argument by which blocks are handed cosines and sines


@torch.no_grad()
def strengths_of(subject: OtherModel, positions: WherePositions) -> dict[str, dict[int, float]]:
    """Measure on the few tokens of the subject; see `Gradients.strength`.

    Rotary: every layer's attention runs once more on the same states with cosines of 1 and sines of
    0. A table, which is added once: its rows over the tokens' own vectors. Biases: their spread
    over the keys of a query.

    Returns:
        Nothing of an encoding of another kind.
    """
    found: dict[str, dict[int, float]] = {}
    causal = subject.pretrained.kind == "causal"
    model, few = subject.observed, subject.few
    n_tokens = few.tokens.shape[1]
    if isinstance(positions, Slopes):
        steps = torch.arange(n_tokens)
        bias = -positions.slopes[:, None, None] * (steps[:, None] - steps).abs()
        found["bias"] = dict.fromkeys(range(_n_layers(model)), spread(bias, causal))
        return found
    if isinstance(positions, InRotation):
        watch: Any = _turned_layers(model, causal, found.setdefault("transform", {}))
    elif isinstance(positions, InTable):
        watch = _table(subject, positions, found)
    elif isinstance(positions, Buckets):
        watch = _buckets(subject, positions, causal, found)
    else:
        return found
    with watch:
        subject.outputs(few)
    return {channel: layers for channel, layers in found.items() if layers}


def _n_layers(model: nn.Module) -> int:
    stack = find_stack(model)
    return len(stack.blocks) if stack else 1


@contextmanager
def _turned_layers(model: nn.Module, causal: bool, found: dict[int, float]) -> Iterator[None]:
    stack = find_stack(model)
    with ExitStack() as exits:
        for layer, block in enumerate(stack.blocks if stack else ()):
            for module in block.modules():
                if "attention" in type(module).__name__.lower():
                    hook = partial(_unturned, layer, causal, found)
                    handle = module.register_forward_hook(hook, with_kwargs=True)
                    exits.callback(handle.remove)
        yield


def _unturned(
    layer: int, causal: bool, found: dict[int, float], module: nn.Module, args: Any, kwargs: Any,
    output: Any,
) -> None:  # fmt: skip
    """Run a layer's attention as it was and without rotation, and compare the logits."""
    turns = kwargs.get(TURNS)
    if layer in found or not isinstance(turns, tuple) or len(turns) != 2:
        return
    found[layer] = 0.0  # it runs again below, and must not come here
    cos, sin = turns
    plain = {**kwargs, TURNS: (torch.ones_like(cos), torch.zeros_like(sin))}
    (turned, still) = (_logits(module, args, given) for given in (kwargs, plain))
    if turned is None or still is None:
        del found[layer]
        return
    size = spread(still, causal)
    found[layer] = spread(turned - still, causal) / size if size else float("inf")


def _logits(module: nn.Module, args: Any, kwargs: Any) -> Tensor | None:
    """Products of queries and keys (B, H, T, S), float32, of what a module attends with."""
    seen: list[Operands] = []
    with AttentionWatch(seen.append):
        module(*args, **kwargs)
    if not seen:
        return None
    q, k = seen[0].q.float() * seen[0].scale, seen[0].k.float()
    return q @ k.repeat_interleave(q.shape[1] // k.shape[1], dim=1).transpose(-2, -1)


@contextmanager
def _table(
    subject: OtherModel, positions: InTable, found: dict[str, dict[int, float]]
) -> Iterator[None]:
    """The table's rows over the vectors of the tokens themselves, root mean squares."""
    model = subject.pretrained.model
    sizes: dict[str, float] = {}

    def note(name: str, module: nn.Module, args: Any, output: Tensor) -> None:
        sizes[name] = float(output.float().square().mean().sqrt())

    table = model.get_submodule(positions.names[0].rpartition(".")[0])
    with ExitStack() as exits:
        for name, module in (("table", table), ("tokens", model.get_input_embeddings())):
            exits.callback(module.register_forward_hook(partial(note, name)).remove)
        yield
    if sizes.get("tokens") and "table" in sizes:
        found["embed"] = {0: sizes["table"] / sizes["tokens"]}


@contextmanager
def _buckets(
    subject: OtherModel, positions: Buckets, causal: bool, found: dict[str, dict[int, float]]
) -> Iterator[None]:
    """The bias is made in one layer, and all others share it."""

    def note(module: nn.Module, args: Any, output: Tensor) -> None:
        by_layer = found.setdefault("bias", {})
        by_layer[len(by_layer)] = spread(output.float().permute(2, 0, 1), causal)

    with ExitStack() as exits:
        for name, module in subject.observed.named_modules():
            if any(f"{name}.weight".endswith(each.split(".", 1)[-1]) and name
                   for each in positions.tables):  # fmt: skip
                exits.callback(module.register_forward_hook(note).remove)
        yield
