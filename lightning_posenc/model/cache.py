"""What a causal model remembers of the tokens that it has read.

Shapes: B sequences, T new tokens, S tokens in all, G key-value heads, K channels of a head,
D = d_model.
"""

from collections.abc import Callable
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.checks import whole

ENOUGH = 64
"""Tokens so few that nobody asks which of them to forget."""


class Remembered(NamedTuple):
    """One layer's tokens so far.

    Args:
        x: (B, S, D) inputs of the attention; None unless the encoding `reads_inputs`.
        k: (B, G, S, K) keys, after QK-norm if there is one: turned already where they stay as
            `transform` leaves them (`keys_stay`), and else before any positional hook changed them.
        v: (B, G, S, K) values, before any hook.
    """

    x: Tensor | None
    k: Tensor
    v: Tensor


class Cache:
    """The tokens so far, layer by layer; empty at first.

    Of a layer that attends, the tokens that a later one may see: `extended`. Of one that carries a
    state on, that alone, in memory that does not grow: `state`, `carry` and `advance`. Of one that
    reads another sequence, the keys and values of that, computed once, likewise.

    New tokens are written behind those that are there. Nothing is copied for them but where memory
    runs out, which is then doubled, or where a gradient is to flow: autograd wants what it has
    seen left alone. Where half of the tokens will never be seen again, as those that a window has
    left behind, they are forgotten in all layers: memory is then that of twice the others.

    Args:
        length: How many tokens it is to hold, at least 1: memory is taken for so many at once, and
            for no more until there are more. None if nobody knows. `Encoder.remembers` says it.
    """

    def __init__(self, length: int | None = None) -> None:
        self._length = None if length is None else whole(self, "length", length)
        self._layers: dict[int, dict[str, _Growing]] = {}
        self._states: dict[int, dict[str, Tensor]] = {}
        self._read: dict[int, int] = {}
        self._old = torch.arange(0)  # tokens remembered of those before `_since`
        self._since = 0
        self._enough = ENOUGH
        self._memory: Tensor | None = None

    def __len__(self) -> int:
        """S, tokens that the first layer has read."""
        return self._read.get(0, 0)

    @property
    def n_remembered(self) -> int:
        """S', tokens of those that are remembered."""
        return len(self._old) + len(self) - self._since

    def tokens(self, n_new: int = 0) -> Tensor:
        """Which tokens are remembered, in increasing order, and the T new ones: (S' + T,)."""
        return torch.cat((self._old, torch.arange(self._since, len(self) + n_new)))

    def is_full(self, n_new: int) -> bool:
        """Whether T tokens more are so many that it is worth asking which to forget."""
        return self.n_remembered + n_new > self._enough

    def forget(self, seen_later: Callable[[Tensor], Tensor]) -> None:
        """Forget what nobody will see, if that is half of what there is.

        Args:
            seen_later: Maps indices of tokens (S',) to whether those to come may see them.
        """
        tokens = self.tokens()
        stays = seen_later(tokens)
        index = stays.nonzero().flatten()
        self._enough = max(ENOUGH, 2 * len(index))
        if 2 * len(index) > len(tokens):
            return
        self._old, self._since = tokens[index], len(self)
        for parts in self._layers.values():
            for part in parts.values():
                part.keep(index.to(part.memory.device))

    @property
    def n_bytes(self) -> int:
        """How much memory is taken."""
        growing = (part.memory for parts in self._layers.values() for part in parts.values())
        carried = (part for parts in self._states.values() for part in parts.values())
        return sum(part.numel() * part.element_size() for part in chain(growing, carried))

    def state(self, layer: int) -> dict[str, Tensor]:
        """What a layer carried on, by name; nothing before its first token."""
        return self._states.get(layer, {})

    def carry(self, layer: int, **state: Tensor) -> None:
        """Carry tensors of a layer's state on, each in place of the one of its name before."""
        self._states.setdefault(layer, {}).update(state)

    def goes_with(self, memory: Tensor) -> None:
        """Say which other sequence is read: what layers have made of it, they carry on.

        Raises:
            ValueError: If it was another before.
        """
        if self._memory is not None and self._memory is not memory:
            raise ValueError(
                "a cache keeps what was made of the memory that it began with: give that very "
                "memory again, or a new Cache()"
            )
        self._memory = memory

    def select(self, rows: Tensor) -> None:
        """Go on from some of the sequences, each as often as it is named.

        Args:
            rows: (B,) indices of sequences; those of one memory stay with it.
        """
        for parts in self._layers.values():
            for part in parts.values():
                part.memory = part.memory.index_select(0, rows)
        for state in self._states.values():
            for name, tensor in state.items():
                state[name] = tensor.index_select(0, rows)

    def advance(self, layer: int, n_tokens: int) -> None:
        """Say that a layer, which `extended` nothing, has read T tokens."""
        self._read[layer] = self._read.get(layer, 0) + n_tokens

    def extended(self, layer: int, x: Tensor | None, k: Tensor, v: Tensor) -> Remembered:
        """Add T tokens to a layer; gives those that are remembered and these."""
        self.advance(layer, v.size(-2))
        parts = self._layers.get(layer)
        if parts is None:
            new = {"x": x, "k": k, "v": v}
            parts = self._layers[layer] = {
                name: _Growing(like, self._length) for name, like in new.items() if like is not None
            }
        known_x = None if x is None else parts["x"].extended(x)
        return Remembered(known_x, parts["k"].extended(k), parts["v"].extended(v))


class _Growing:
    """Tokens along the last axis but one, and room for more behind them.

    Args:
        like: (…, T, C) tokens of the shape, dtype and device of those to come.
        length: Room for how many; None for as many as come.
    """

    def __init__(self, like: Tensor, length: int | None) -> None:
        self.memory = like.new_empty(*like.shape[:-2], length or 0, like.shape[-1])
        self.length = 0

    def keep(self, index: Tensor) -> None:
        """Forget all but some of the tokens, and the room for more than as many again."""
        kept = self.memory.index_select(-2, index)
        room = min(self.memory.shape[-2], 2 * len(index))
        self.length = len(index)
        if kept.requires_grad or _is_frozen(kept):
            self.memory = kept
            return
        self.memory = kept.new_empty(*kept.shape[:-2], room, kept.shape[-1])
        self.memory.narrow(-2, 0, self.length).copy_(kept)

    def extended(self, new: Tensor) -> Tensor:
        """Add (…, T, C); gives (…, S, C)."""
        memory, before, n_new = self.memory, self.length, new.size(-2)
        self.length = length = before + n_new
        if memory.requires_grad or new.requires_grad or _is_frozen(memory):
            self.memory = torch.cat((memory.narrow(-2, 0, before), new), dim=-2)
            return self.memory
        if length > memory.size(-2):
            room = max(length, 2 * before)
            self.memory = new.new_empty(*new.shape[:-2], room, new.shape[-1])
            self.memory.narrow(-2, 0, before).copy_(memory.narrow(-2, 0, before))
        known = self.memory.narrow(-2, 0, length)
        known.narrow(-2, before, n_new).copy_(new)
        return known


def _is_frozen(memory: Tensor) -> bool:
    """Whether nobody may write to it here: it was made in inference mode, which has been left."""
    return memory.is_inference() and not torch.is_inference_mode_enabled()
