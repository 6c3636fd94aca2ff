"""Watch one forward pass: attention layer by layer, and the residual stream between the blocks.

Any model: this package's by hooks on its kernels, others by a watch on the functions that they
call. It only observes: outputs are bit-identical with and without it.

Shapes: B sequences, T tokens, D = d_model, L blocks.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightning_posenc.checks import kinds_checked
from lightning_posenc.compat.torch import in_backward, is_compiled
from lightning_posenc.diagnostics.observing.blocks import (
    Stack,
    as_batch_first,
    find_stack,
    first_tensor,
)
from lightning_posenc.diagnostics.observing.first_sequences import first_sequences
from lightning_posenc.diagnostics.observing.functions import AttentionWatch, refuse_fast_path
from lightning_posenc.diagnostics.observing.rotary_planes import RotaryPlanes, planes_of
from lightning_posenc.model.feed_forward import MixtureOfExperts, Routing
from lightning_posenc.model.kernels import Kernels, Operands, TellsWeights
from lightning_posenc.model.mixers import Mixer
from lightning_posenc.model.mixers.base import Context
from lightning_posenc.positions import Places


class Routed(NamedTuple):
    """What a layer of experts decided.

    Args:
        routing: Where it sent the tokens.
        kept: Tells which choices would find a place in training, as `MixtureOfExperts.kept` does.
    """

    routing: Routing
    kept: Callable[[Tensor, Tensor | None], Tensor]


class Observation:
    """What one forward pass did, the last one if there were several.

    The tensors are the model's own, with their graph if gradients are on.

    Args:
        take_attention: As in `observe`.
        take_hidden: As in `observe`.
        take_across: As in `observe`.

    Attributes:
        attention: Layer by layer. Cross-attention is left out, and so are layers that mix tokens
            by no weights, or tell none.
        layers: The number of the layer of each attention, from 0.
        hidden: The residual stream (B, T, D): before block 0, then after each block, L + 1 in all.
            Empty for a model without repeated blocks. Of blocks that see windows of a grid, as the
            tokens of the whole grid stand.
        cells: (1|B, T, 2) rows and columns of the tokens; None where they stand on no grid, or
            nobody says.
        windows: Rows of attention that are of one sequence: 1, but for windows of a grid.
        cells_of_rows: (1|B, w, 2) rows and columns of the tokens of a row of attention: `cells`,
            or those within a window.
        routed: What each `MixtureOfExperts` decided, by the number of its layer.
        contexts: What each of this package's blocks was told, by the number of its layer.
    """

    def __init__(
        self,
        take_attention: Callable[[Operands], object] | None = None,
        take_hidden: Callable[[Tensor], object] | None = None,
        take_across: Callable[[int, Operands], object] | None = None,
    ) -> None:
        self.attention: list[Operands] = []
        self.layers: list[int] = []
        self.hidden: list[Tensor] = []
        self.routed: dict[int, Routed] = {}
        self.contexts: dict[int, Context] = {}
        self.cells: Tensor | None = None
        self.cells_of_rows: Tensor | None = None
        self.windows = 1
        self._take_attention = take_attention or self.attention.append
        self._take_hidden = take_hidden or self.hidden.append
        self._take_across = take_across
        self._in_block = False
        self._entered = 0  # blocks
        self._begun = False  # whether the stream before block 0 is known
        self._open = False  # whether the next attention is a layer's own
        self._lone = False  # whether there are no blocks, so that every attention counts

    @property
    def planes(self) -> dict[int, RotaryPlanes]:
        """By layer, in which planes queries and keys are turned; of this package's models alone."""
        found = {
            layer: planes_of(context.positional, layer, context.q_places)
            for layer, context in self.contexts.items()
        }
        return {layer: planes for layer, planes in found.items() if planes is not None}

    def first(self, n: int) -> "Observation":
        """What is seen of the first n sequences."""
        part = Observation()
        part.attention = [first_sequences(each, n * self.windows) for each in self.attention]
        part.windows = self.windows
        part.cells = _first(self.cells, n)
        part.cells_of_rows = _first(self.cells_of_rows, n)
        part.layers = list(self.layers)
        part.contexts = dict(self.contexts)
        part.hidden = [x[:n] for x in self.hidden]
        part.routed = {
            layer: each._replace(routing=each.routing.first(n))
            for layer, each in self.routed.items()
        }
        return part

    def clear(self) -> None:
        """Forget what was seen."""
        self.attention.clear()
        self.layers.clear()
        self.hidden.clear()
        self.routed.clear()
        self.contexts.clear()
        self.cells = self.cells_of_rows = None
        self.windows = 1
        self._entered = 0
        self._begun = False

    def add(self, operands: Operands) -> None:
        """Take a layer's attention: the first that runs in a block; what follows is across."""
        if in_backward():
            return
        if self._in_block and not self._open and self._take_across is not None:
            self._take_across(self._entered - 1, operands)
        if self._open:
            self.layers.append(len(self.layers) if self._lone else self._entered - 1)
            self._take_attention(operands)
            self._open = self._lone

    def _starts(self, module: nn.Module, args: Any) -> None:
        if not in_backward():
            self.clear()

    def _enters(self, block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if in_backward():
            return
        self._open = self._in_block = True
        self._entered += 1
        if (context := _context(args)) is not None:
            self.contexts[self._entered - 1] = context
        if not self._begun:
            self._begun = True
            named = [kwargs.get(name) for name in ("hidden_states", "src", "x")]
            x = first_tensor((*args, *named, *kwargs.values()))
            self._placed(args, x)
            self._take_hidden(_whole(args, as_batch_first(block, x)))

    def _leaves(self, block: nn.Module, args: Any, output: Any) -> None:
        if not in_backward():
            self._open = self._in_block = False
            self._take_hidden(_whole(args, as_batch_first(block, first_tensor(output))))

    def _placed(self, args: tuple[Any, ...], x: Tensor) -> None:
        """Note where the tokens stand, if the blocks are this package's and told."""
        if (context := _context(args)) is None:
            return
        parts = context.regrouped
        self.cells = _cells(context.q_places if parts is None else parts.places)
        self.cells_of_rows = _cells(context.q_places)
        self.windows = 1 if parts is None else len(parts.back) // x.shape[1]


def _cells(places: Places) -> Tensor | None:
    """Rows and columns; a graph's places have as many axes as there are tokens, and mean others."""
    whole = places.axes == 2 < places.values.shape[1] and places.is_whole
    return places.values if whole else None


def _first(cells: Tensor | None, n: int) -> Tensor | None:
    return cells if cells is None or len(cells) == 1 else cells[:n]


def _context(args: tuple[Any, ...]) -> Context | None:
    return next((each for each in args if isinstance(each, Context)), None)


def _whole(args: tuple[Any, ...], x: Tensor) -> Tensor:
    """The stream of whole sequences, whatever part of them the rows of a block are."""
    context = _context(args)
    return x if context is None or context.regrouped is None else context.regrouped.whole(x)


@kinds_checked
@contextmanager
def observe(
    model: nn.Module,
    *,
    take_attention: Callable[[Operands], object] | None = None,
    take_hidden: Callable[[Tensor], object] | None = None,
    take_across: Callable[[int, Operands], object] | None = None,
) -> Iterator[Observation]:
    """Observe the forward passes that run inside the block.

    A model of this package, one of Hugging Face's or torch's, or any that calls
    `scaled_dot_product_attention` or computes softmax(q·k) · v itself. Checkpointed activations
    that are recomputed in the backward pass are not taken for another pass. A compiled model runs
    uncompiled inside (`torch.compiler.set_stance("force_eager")`), since a hook would break its
    graph: outputs are then those of the uncompiled model. A layer without a softmax over keys
    shows its residual stream alone, unless its mixer tells what its weights are (`TellsWeights`).

    Args:
        model: What to observe. Of an encoder-decoder, one of the two stacks (`model.encoder`); run
            the whole as always.
        take_attention: Is called with each layer's attention as soon as it is computed, which is
            then not kept: the memory of one layer instead of all.
        take_hidden: Likewise with the residual stream.
        take_across: Is called with the number of a layer and its cross-attention, which nobody
            keeps; None if nobody looks at it.

    Yields:
        What the last forward pass did.

    Raises:
        ValueError: If the model has several stacks of blocks; and, when it runs, if torch's fused
            fast path of `nn.TransformerEncoder` may be taken, which nothing can observe.
    """
    seen = Observation(take_attention, take_hidden, take_across)
    stack = find_stack(model)
    kernels: list[nn.Module] = [
        module for module in model.modules() if isinstance(module, Kernels | TellsWeights)
    ]
    with ExitStack() as exits:
        if any(is_compiled(module) for module in model.modules()):
            exits.enter_context(torch.compiler.set_stance("force_eager"))
        for handle in _hooks(seen, model, stack, kernels):
            exits.callback(handle.remove)
        if not any(isinstance(module, Kernels | Mixer) for module in model.modules()):
            exits.enter_context(AttentionWatch(seen.add))
        yield seen


def _hooks(
    seen: Observation, model: nn.Module, stack: Stack | None, kernels: list[nn.Module]
) -> Iterator[Any]:
    owner = model if stack is None else stack.owner
    yield owner.register_forward_pre_hook(seen._starts)
    if stack is None:
        seen._lone = True
        yield model.register_forward_pre_hook(partial(_set_open, seen, True))
        yield model.register_forward_hook(partial(_set_open, seen, False), always_call=True)
    else:
        for block in stack.blocks:
            yield block.register_forward_pre_hook(seen._enters, with_kwargs=True)
            yield block.register_forward_hook(seen._leaves)
    for kernel in kernels:
        yield kernel.register_forward_hook(partial(_add_operands, seen))
    watched: Iterable[nn.Module] = [model] if stack is None else stack.blocks
    for module in (part for block in watched for part in block.modules()):
        if isinstance(module, MixtureOfExperts):
            yield module.router.register_forward_hook(partial(_add_routing, seen, module))
    for module in model.modules():
        if isinstance(module, nn.MultiheadAttention | nn.TransformerEncoderLayer):
            yield module.register_forward_pre_hook(refuse_fast_path, prepend=True)


def _set_open(seen: Observation, is_open: bool, *_: Any) -> None:
    seen._open = is_open


def _add_operands(seen: Observation, kernel: nn.Module, args: tuple[Any, ...], out: Tensor) -> None:
    operands: Operands = args[0]
    seen.add(operands._replace(visibility=operands.visibility.unmade()))


def _add_routing(
    seen: Observation, of: MixtureOfExperts, router: nn.Module, args: Any, routing: Routing
) -> None:
    if not in_backward():
        seen.routed[of.layer] = Routed(routing, of.kept)
