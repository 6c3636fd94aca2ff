"""What is examined: a model and sequences to run it on, whoever's model it is.

Shapes: B sequences, T tokens, D = d_model.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from torch import Tensor, nn

from lightning_posenc.data import Batch
from lightning_posenc.model import Encoder, TokenEmbedding
from lightning_posenc.modules import EncoderModule

N_SEQUENCES = 32  # looked at by layer
N_SCORED = 256  # of which the accuracy at a length is a mean


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

    def __post_init__(self) -> None:
        if not isinstance(self.module.embedding, TokenEmbedding):
            raise ValueError(
                f"diagnose: models of token ids are examined, and this one's inputs are "
                f"{type(self.module.embedding).__name__}"
            )
        self.observed = self.module
        self.batch = self.batches[0].first(N_SEQUENCES)

    @property
    def encoder(self) -> Encoder:
        """The examined encoder."""
        return self.module.encoder

    @property
    def embedding(self) -> TokenEmbedding:
        """The vectors of its token ids."""
        return cast(TokenEmbedding, self.module.embedding)

    def outputs(self, batch: Batch) -> Tensor:
        return self.module.logits(batch)


@dataclass
class OtherModel(Subject):
    """Anybody's model of token ids, such as one of Hugging Face's.

    Args:
        model: Maps `input_ids` (B, T) to something with a `last_hidden_state`.
        batch: Token ids.
        name: What the page calls it.
        limit: Longest sequence that its config names, or None.
    """

    model: nn.Module
    batch: Batch
    name: str
    limit: int | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        self.observed = self.model

    def outputs(self, batch: Batch) -> Tensor:
        return self.model(input_ids=batch.tokens).last_hidden_state
