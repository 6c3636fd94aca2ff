"""A residual stream that can be run backwards, so that nothing of it is kept for the backward pass.

Shapes: B sequences, T tokens, D = d_model.
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias, cast
from weakref import ReferenceType, ref

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from lightning_posenc.dims import Dims
from lightning_posenc.model.mixers.base import Context
from lightning_posenc.model.residual import Plain, Residual

Branch: TypeAlias = Callable[[Tensor], Tensor]
Join: TypeAlias = Callable[[Branch, Tensor, Tensor], Tensor]


class Reversible(Plain):
    """y_1 = x_1 + mixer(x_2), y_2 = x_2 + feed_forward(y_1): two streams, each read for the other.

    Both begin as the embedded tokens, and the model's last norm reads their mean. In training,
    activations are computed anew from what follows them, x_2 = y_2 - feed_forward(y_1) and
    x_1 = y_1 - mixer(x_2), one branch at a time: the memory is that of one branch, whatever the
    depth, and a forward pass more is computed. What an encoding adds to the stream before later
    blocks is read by their mixers, and not carried on. torch.compile leaves training uncompiled.

    Source: Gomez et al. 2017, arXiv:1707.04585, section 3; Kitaev et al. 2020,
    arXiv:2001.04451, section 3. Deviation: the mean of the streams, not both side by side,
    is what the model gives.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        drop_path: Probability of dropping a branch of the last block, in [0, 1); earlier blocks
            drop proportionally less (stochastic depth).
    """

    reversible = True

    def __init__(self, dims: Dims, layer: int, drop_path: float = 0.0) -> None:
        super().__init__(dims, layer, drop_path=drop_path)


def kept(branch: Branch, base: Tensor, read: Tensor) -> Tensor:
    """Base + branch(read), as autograd would keep it."""
    return base + branch(read)


def is_reversible(blocks: Iterable[nn.Module]) -> bool:
    """Whether the blocks of an encoder have two streams.

    Raises:
        ValueError: If some have, and others not.
    """
    kinds = {cast(Residual, block.residual_attention).reversible for block in blocks}
    if len(kinds) > 1:
        raise ValueError("Encoder: residual: all layers must be reversible, or none")
    return kinds == {True}


def through(blocks: Iterable[nn.Module], x: Tensor, context: Context) -> Tensor:
    """Run the two streams through reversible blocks, and give their mean (B, T, D).

    Args:
        blocks: In order.
        x: (B, T, D) embedded tokens.
        context: What all layers share. A cache cannot be extended twice: with one, activations are
            kept as always.
    """
    if torch.is_grad_enabled() and context.cache is None:
        return _through_chained(blocks, x, context)
    beside = x
    for block in blocks:
        x, beside = block(x, context, beside)
    return (x + beside) / 2


@torch.compiler.disable
def _through_chained(blocks: Iterable[nn.Module], x: Tensor, context: Context) -> Tensor:
    chain, beside = TwoStreams(), x
    for block in blocks:
        x, beside = block(x, context, beside, chain.join)
    chain.end(beside, x)
    return (x + beside) / 2


class TwoStreams:
    """u_(k+2) = u_k + F_k(u_(k+1)), of which the last two are kept and the others computed back.

    Tensors that autograd saves of a branch F_k are replaced by their numbers. The first that the
    backward pass asks for has F_k run again on u_(k+1), which also tells u_k = u_(k+2) -
    F_k(u_(k+1)) to the branch below, whose gradient is needed next.
    """

    def __init__(self) -> None:
        self._runs: list[_Run] = []
        self._ends: dict[int, Tensor] = {}
        self._known: dict[int, Tensor] = {}
        self._holder: ReferenceType[_Saved] | None = None

    def join(self, branch: Branch, base: Tensor, read: Tensor) -> Tensor:
        """Base + branch(read); the base is what the branch before read, and its sum is read."""
        saved = _Saved(self, len(self._runs))
        self._runs.append(_Run(branch, read))
        with saved_tensors_hooks(saved.pack, saved.unpack):
            given = branch(read)
        return base + given

    def end(self, before_last: Tensor, last: Tensor) -> None:
        """Keep the last two, from which the others follow."""
        n = len(self._runs)
        self._ends = {n: before_last.detach(), n + 1: last.detach()}

    def run_again(self, index: int, holder: "_Saved") -> None:
        """Run F_index once more, for what autograd saves of it to be saved by its holder."""
        previous = None if self._holder is None else self._holder()
        if previous is not None:
            previous.tensors.clear()  # gradients have passed it
        self._holder = ref(holder)
        read = self._value(index + 1).requires_grad_(self._runs[index].needs_gradient)
        with torch.enable_grad(), saved_tensors_hooks(holder.save, _never):
            self._tell(index, self._runs[index].again(read))

    def _value(self, index: int) -> Tensor:
        """u_index, computed back from what is known."""
        if index not in self._known:
            self._known = dict(self._ends)
            for below in reversed(range(index, len(self._runs))):
                with torch.no_grad():
                    self._tell(below, self._runs[below].again(self._known[below + 1]))
        return self._known[index].detach()

    def _tell(self, index: int, given: Tensor) -> None:
        """Know u_k from what F_k gave; u_(k+2) is then needed no more."""
        if index not in self._known:
            self._known[index] = self._known.pop(index + 2) - given.detach()


class _Saved:
    """What autograd saves of one branch, once that has run again. Only autograd refers to it."""

    def __init__(self, chain: TwoStreams, index: int) -> None:
        self.tensors: list[Tensor] = []
        self._chain = chain
        self._index = index
        self._packed = 0

    def pack(self, _: Tensor) -> int:
        self._packed += 1
        return self._packed - 1

    def unpack(self, number: int) -> Tensor:
        if not self.tensors:
            self._chain.run_again(self._index, self)
        return self.tensors[number]

    def save(self, tensor: Tensor) -> None:
        self.tensors.append(tensor.detach())


class _Run:
    """A branch, and under which random numbers and precision it has run."""

    def __init__(self, branch: Branch, read: Tensor) -> None:
        self.branch = branch
        self.needs_gradient = read.requires_grad
        kind = read.device.type
        self._device = read.device
        self._autocast = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
        self._states = [torch.get_rng_state()]
        if kind == "cuda":
            self._states.append(torch.cuda.get_rng_state(read.device))

    def again(self, read: Tensor) -> Tensor:
        enabled, dtype = self._autocast
        on_gpu = [self._device] if self._device.type == "cuda" else []
        with (
            torch.random.fork_rng(devices=on_gpu),
            torch.autocast(self._device.type, dtype=dtype, enabled=enabled),
        ):
            torch.set_rng_state(self._states[0])
            for device in on_gpu:
                torch.cuda.set_rng_state(self._states[1], device)
            return self.branch(read)


def _never(_: None) -> Tensor:
    raise AssertionError("nobody differentiates a branch's second run")
