"""A causal encoder that reads what is said so far, step by step.

Shapes: B sequences, N = B·W rows, W of each, t tokens said so far, T in the end, D = d_model, V
token ids.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lightning_posenc.model.cache import Cache
from lightning_posenc.model.encoder import Encoder
from lightning_posenc.model.inputs import TokenEmbedding
from lightning_posenc.model.memory import Memory
from lightning_posenc.positions import Places, Sequences


class Stepwise:
    """Reads what is said so far, from a cache or anew every time, and scores what may follow.

    Positions are drawn once, for the whole result: a sampler that depends on the length must not
    change its mind about tokens that were read already. One that reads tokens sees what is said,
    and no more.

    Args:
        encoder: Causal.
        embedding: Of what is said.
        scores: Maps states (N, D) to the scores of the next token, (N, V).
        n_sequences: B.
        length: T.
        use_cache: Whether keys and values are remembered.
        memory: What a decoder reads, of B sequences; None for an encoder.
        times: W, how often each sequence is continued, in rows next to each other.
    """

    def __init__(
        self,
        encoder: Encoder,
        embedding: TokenEmbedding,
        scores: Callable[[Tensor], Tensor],
        n_sequences: int,
        length: int,
        use_cache: bool = True,
        memory: Memory | None = None,
        times: int = 1,
    ) -> None:
        self.encoder = encoder
        self.embedding = embedding
        self.scores = scores
        self.memory = memory if memory is None or times == 1 else memory.repeated(times)
        self.cache = Cache(encoder.remembers(length)) if use_cache else None
        device = embedding.weight.device
        self._told = Sequences(n_sequences * times, length, device)
        self._places: Places | None = None
        if not encoder.positions.reads_tokens:
            places = encoder.positions.places(self._told._replace(number=n_sequences))
            if times > 1 and len(places.values) > 1:
                places = places._replace(values=places.values.repeat_interleave(times, dim=0))
            self._places = places
        self._before: Tensor | None = None  # positions at the last step, that tokens decided
        self._n_read = 0

    def __call__(self, said: Tensor) -> Tensor:
        """Scores (N, V) of what follows the tokens said so far, (N, t).

        Args:
            said: Those of the call before, and one or more.

        Raises:
            ValueError: If the encoding cannot serve the length, or new tokens change the positions
                of remembered ones.
        """
        now = said.shape[1]
        places = self._placed(said) if self._places is None else self._places.first(now)
        states = self.encoder(
            self.embedding(said[:, self._n_read :]),
            positions=places,
            cache=self.cache,
            memory=self.memory,
        )
        self._n_read = 0 if self.cache is None else now
        return self.scores(states[:, -1])

    def select(self, rows: Tensor) -> None:
        """Go on from some of the rows, (N,), each within its own sequence."""
        if self.cache is not None:
            self.cache.select(rows)
        if self._before is not None and len(self._before) > 1:
            self._before = self._before[rows]

    def _placed(self, said: Tensor) -> Places:
        told = self._told._replace(length=said.shape[1], tokens=said)
        places = self.encoder.positions.places(told)
        before, known = self._before, places.values
        if self.cache is not None and before is not None:
            _check_unmoved(before, known[:, : before.shape[1]])
        self._before = known
        return places


def _check_unmoved(before: Tensor, now: Tensor) -> None:
    """Refuse remembered keys of tokens that stand elsewhere by now."""
    if not torch.equal(before, now):
        raise ValueError(
            "decoding: a new token changed the positions of earlier ones, so what is "
            "remembered of them no longer holds: generate without a cache (use_cache=False)"
        )
