"""How does a decoder read another sequence? What it is given, and by which mixer and encoding.

Shapes: B sequences, T tokens at hand, S tokens of the other sequence, D = d_model.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_posenc.checks import is_a, made, maker
from lightning_posenc.dims import Dims
from lightning_posenc.masks import Visibility
from lightning_posenc.masks.batch import MemoryPadding
from lightning_posenc.model.cache import Cache
from lightning_posenc.model.door import check_memory
from lightning_posenc.model.mixers import Attention, Context, Mixer, MixerFactory
from lightning_posenc.model.part import by_layer
from lightning_posenc.positional import NoPE
from lightning_posenc.positional.base import Factory, PositionalEncoding
from lightning_posenc.positions import Places


class Memory(NamedTuple):
    """Another sequence, as a decoder reads it.

    Args:
        states: (B, S, D) what an encoder made of its tokens.
        places: Where they are; what their `lengths` leave out is padding, which nobody reads.
    """

    states: Tensor
    places: Places

    def repeated(self, n: int) -> "Memory":
        """Each sequence n times in a row, for n continuations of it."""
        places = self.places
        values = places.values
        if len(values) > 1:
            values = values.repeat_interleave(n, dim=0)
        lengths = None if places.lengths is None else places.lengths.repeat_interleave(n, dim=0)
        states = self.states.repeat_interleave(n, dim=0)
        return Memory(states, places._replace(values=values, lengths=lengths))


class CrossReading(nn.Module):
    """How each block of a decoder reads another sequence.

    The other sequence is seen whole, so that the mixer and the encoding are those of a
    bidirectional model. Positions of both sequences count from the same start, those of queries
    minus those of keys as everywhere. Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.3,
    "encoder-decoder attention".

    Args:
        dims: Sizes of the decoder, whose width is that of the other sequence's states.
        mixer: Makes what reads, of the dims and the layer: Attention, Additive (Bahdanau's) or
            another that serves a memory; or a list of such, one a layer, repeated to the depth.
        positional: Makes the encoding of queries and keys in two sequences.

    Raises:
        ValueError: If the encoding makes no sense of two sequences: it acts on the stream, reads
            what lies between a query and a key, or wants a causal model.
    """

    def __init__(
        self,
        dims: Dims,
        mixer: MixerFactory | Sequence[MixerFactory] = Attention,
        positional: Factory = NoPE,
    ) -> None:
        super().__init__()
        is_a(self, "dims", dims, Dims)
        self.dims = replace(dims, causal=False)
        self.makers = by_layer("mixer", mixer, dims)
        for make in self.makers:
            maker(self, "mixer", make, Mixer, self.dims, 0)
        try:
            self.positional = made(self, "positional", positional, PositionalEncoding, self.dims)
        except ValueError as error:
            raise ValueError(f"across two sequences, each seen whole: {error}") from error
        if not self.positional.crosses:
            raise ValueError(
                f"CrossReading: {type(self.positional).__name__} makes no sense of queries and "
                "keys of two sequences (it acts on the stream, or looks for one among the other): "
                "choose a rotation, a bias of distance, or NoPE"
            )

    def mixer(self, layer: int) -> Mixer:
        """Make what reads in a layer.

        Raises:
            ValueError: If it serves no memory, or not the encoding.
        """
        make = self.makers[layer % len(self.makers)]
        mixer: Mixer = made(self, "mixer", make, Mixer, self.dims, layer)
        mixer.check(self.positional, None)
        mixer.check_serves({"memory"})
        return mixer

    def context(self, memory: Memory, x: Tensor, here: Places, cache: Cache | None) -> Context:
        """What the layers share where they read.

        Args:
            memory: The other sequence.
            x: (B, T, D) the tokens at hand.
            here: Where they are.
            cache: What keeps the keys and values of the memory; it goes with one memory.

        Raises:
            ValueError: If the two do not fit, or the encoding cannot serve the positions.
        """
        check_memory(memory, x)
        states, places = memory
        if here.documents is not None:
            raise ValueError(
                "Decoder: packed documents would all read one memory: give each a row of its own"
            )
        if cache is not None:
            cache.goes_with(states)
        # Distances between two sequences are nobody's to stretch.
        queries, keys = (each._replace(stretch=None, documents=None) for each in (here, places))
        with torch.autocast(x.device.type, enabled=False):
            for each in (queries, keys):
                self.positional.check(each)
            prepared = self.positional.prepare(queries, keys)
        mask = None if places.lengths is None else MemoryPadding(places.lengths)
        seen = Visibility(mask, x.shape[1], states.shape[1], x.device, first=0)
        return Context(self.positional, queries, keys, prepared, [seen], cache, memory=states)


def crossing(
    cross: CrossReading | None,
    memory: Memory | None,
    x: Tensor,
    here: Places,
    cache: Cache | None,
) -> Context | None:
    """What layers share where they read another sequence; None for an encoder, which reads none.

    Args:
        cross: Of the decoder; None for an encoder.
        memory: As in `CrossReading.context`, as are the others.
        x: The tokens at hand.
        here: Where they are.
        cache: What is remembered.

    Raises:
        ValueError: On another sequence that nobody reads, and on none where one is to be read.
    """
    if cross is None and memory is not None:
        raise ValueError(
            "Encoder: memory is given, which no block of an encoder reads: build a Decoder"
        )
    if cross is None:
        return None
    if memory is None:
        raise ValueError(
            "Decoder: its blocks read another sequence: give memory, or build an Encoder"
        )
    return cross.context(memory, x, here, cache)
