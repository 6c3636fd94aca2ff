"""What is examined: a model and sequences to run it on, whoever's model it is.

Shapes: B sequences, T tokens, D = d_model.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightning_posenc.callbacks.module_fits import observed
from lightning_posenc.data import Batch
from lightning_posenc.model import Encoder
from lightning_posenc.model.inputs import Inputs
from lightning_posenc.modules import CTCModel, EncoderModule, SequenceToSequence
from lightning_posenc.positional import Droppable
from lightning_posenc.positions import Places
from lightning_posenc.positions.places import OUTSIDE
from lightning_posenc.pretrained.calling import uncached
from lightning_posenc.pretrained.evaluating.texts import Text
from lightning_posenc.pretrained.reading import Pretrained

N_SEQUENCES = 32  # looked at by layer
N_SCORED = 256  # of which the accuracy at a length is a mean
FEW_LENGTH = 256  # tokens of a sequence that another package's model runs several times
FEW_STATES = 1 << 24  # numbers of all layers' states that are kept of those, 64 MB


class Recorded(NamedTuple):
    """What a checkpoint says of its last validation: accuracy in [0, 1], loss in nats."""

    accuracy: float
    loss: float


class Subject(ABC):
    """A model, and a batch of the sequences that it works on.

    Attributes:
        name: What the page calls it.
        observed: The module whose forward pass is observed.
        batch: N_SEQUENCES sequences as long as those of training.
        steps: Optimizer steps that it was trained for; None if nobody knows.
    """

    name: str
    observed: nn.Module
    batch: Batch
    steps: int | None

    @abstractmethod
    def outputs(self, batch: Batch) -> Tensor:
        """What the model says: class scores (B, C) or (B, T, C), or states (B, T, D)."""

    @property
    def writes(self) -> bool:
        """Whether it says something of the tokens of an answer, and not of those that it reads."""
        return False

    @property
    def few(self) -> Batch:
        """As much of the batch as is run several times over."""
        return self.batch

    @cached_property
    def length(self) -> int:
        """Tokens of the examined sequences."""
        return self.batch.tokens.shape[1]

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(parameter.numel() for parameter in self.observed.parameters())


@dataclass
class OwnModel(Subject):
    """A model of this package, and its data.

    Args:
        module: The model, in evaluation mode.
        batches: Batches of the lengths of training, N_SCORED sequences in all.
        name: What the page calls it.
        steps: Optimizer steps that it was trained for.
        others: Batches of other lengths, by their length in the data's unit.
        asked: Which of those lengths the data is configured to test.
        trained_length: Longest length of training in the data's unit.
        bound: Best accuracy without order at the trained length; None if nobody knows.
        training: Gives batches to train on, in the order of training.
        validation: Gives all batches of the validation data.
        endless: Whether the training data never repeat.
        recorded: What the last validation said while it was trained; None if nobody knows.
        rate: Learning rate that it was trained at, before its schedule; None if nobody knows.
        of_a_batch: Sequences of a training batch; None for as many as the first of `batches` has.
    """

    module: EncoderModule
    batches: Sequence[Batch]
    name: str
    steps: int | None = 0
    others: dict[int, list[Batch]] = field(default_factory=dict)
    asked: tuple[int, ...] = ()
    trained_length: int = 0
    bound: float | None = None
    training: Callable[[], Iterable[Batch]] = tuple
    validation: Callable[[], Iterable[Batch]] = tuple
    endless: bool = False
    recorded: Recorded | None = None
    rate: float | None = None
    of_a_batch: int | None = None

    def __post_init__(self) -> None:
        self.observed = observed(self.module)
        self.batch = self.batches[0].first(N_SEQUENCES)

    @property
    def writes(self) -> bool:
        return isinstance(self.module, SequenceToSequence)

    @property
    def encoder(self) -> Encoder:
        """The examined encoder; of an encoder-decoder that of the source."""
        return self.module.encoder

    @property
    def embedding(self) -> Inputs:
        """What makes tokens of ids, patches or frames."""
        return self.module.embedding

    @property
    def vocab_size(self) -> int | None:
        """Number of token ids; None where its tokens are none, such as patches and frames."""
        return getattr(self.embedding, "vocab_size", None)

    @property
    def positional_parameters(self) -> list[nn.Parameter]:
        """The encoding's own, without those of parts that were dropped, which nothing reads."""
        encoding = self.module.positional
        parts = (p for p in encoding.modules() if isinstance(p, Droppable) and p.dropped)
        idle = {id(each) for part in parts for each in part.parameters()}
        return [each for each in encoding.parameters() if id(each) not in idle]

    @property
    def transcribes(self) -> bool:
        """Whether it writes a transcript, whose tokens stand at no places of the input's."""
        return isinstance(self.module, CTCModel)

    @cached_property
    def length(self) -> int:
        """Tokens that the encoder reads of each of the examined sequences."""
        return self.n_tokens(self.batch)

    @cached_property
    def places(self) -> Places | None:
        """Where its inputs put the tokens of the examined batch; None if they only follow each
        other.
        """
        return self.embedding.places(self.batch.tokens) if self.module.placed_by_inputs else None

    @cached_property
    def n_outside(self) -> int:
        """Tokens before the others that stand outside the grid: class tokens."""
        if self.places is None:
            return 0
        return int((self.places.values[0] == OUTSIDE).all(dim=-1).sum())

    @cached_property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns of the grid on which the tokens stand; None if they stand on none."""
        if self.places is None or self.places.axes != 2:
            return None
        rows, columns = (self.places.values[0].amax(dim=0) + 1).tolist()
        return rows, columns

    @torch.no_grad()
    def n_tokens(self, batch: Batch) -> int:
        """Tokens that the encoder reads of each of some sequences."""
        if self.vocab_size is not None:
            return batch.tokens.shape[1]
        one = batch.first(1)
        return self.module.embedded(one.tokens, one)[0].shape[1]

    def token_lengths(self, batch: Batch) -> Tensor | None:
        """(B,) tokens that the encoder reads of each sequence; None if all are full."""
        return self.module.token_lengths(batch)

    def outputs(self, batch: Batch) -> Tensor:
        return self.module.logits(batch)


@dataclass
class OtherModel(Subject):
    """Anybody's model of token ids, as it was read from Hugging Face.

    Args:
        pretrained: The model.
        batch: Token ids, on the model's device.
        texts: What the ids are of; empty if they were drawn.
        limit: Longest sequence that its config names, or None.
        skipped: What is not measured, since it takes long.
    """

    pretrained: Pretrained
    batch: Batch
    texts: tuple[Text, ...] = ()
    limit: int | None = None
    skipped: tuple[str, ...] = ()
    steps: int | None = None

    def __post_init__(self) -> None:
        self.name = self.pretrained.name
        self.observed = stack_of(self.pretrained.model)

    @property
    def width(self) -> int:
        """Numbers of a token's states before, between and after all blocks."""
        config = self.pretrained.config
        return (getattr(config, "num_hidden_layers", 1) + 1) * getattr(config, "hidden_size", 1)

    @property
    def few(self) -> Batch:
        n_tokens = max(2, min(self.length, FEW_LENGTH))
        room = max(n_tokens, FEW_STATES // self.width)
        tokens = self.batch.tokens[: max(1, room // n_tokens), :n_tokens]
        return Batch(tokens, tokens)

    def outputs(self, batch: Batch) -> Tensor:
        more = uncached(self.observed)
        return self.observed(input_ids=batch.tokens, **more).last_hidden_state


def stack_of(model: Any) -> nn.Module:
    """The part that makes states of token ids: without a head, and of two sides the encoder."""
    return model.get_encoder() if model.config.is_encoder_decoder else model.base_model
