"""What the LightningModules around an encoder of this package share.

Shapes: B sequences, T tokens, D = d_model.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from lightning_posenc.checks import MOST_STEPS, is_a, made, number, whole
from lightning_posenc.data.batch import Batch, are_ids
from lightning_posenc.model.encoder import EncoderSpec
from lightning_posenc.model.inputs import Inputs, InputsFactory, TokenEmbedding
from lightning_posenc.modules.hyperparameters import rebuilt
from lightning_posenc.modules.optim import OptimizerFactory, WarmupCosine, parameter_groups
from lightning_posenc.modules.scheduling import ScheduleFactory, held_back
from lightning_posenc.modules.trained import TrainedModule
from lightning_posenc.positional import NoPE
from lightning_posenc.positional.base import Factory, PositionalEncoding
from lightning_posenc.positional.compose import idle_parameters
from lightning_posenc.positional.returned import misgiven, returned
from lightning_posenc.positions import Places, Positions


class EncoderModule(TrainedModule):
    """Inputs, encoder, and a head that a subclass adds.

    Evaluation logs `val/<metric>`, and `test/<metric>/len_<T>` for each length.

    Args:
        encoder: Sizes and wiring of the encoder.
        vocab_size: Number of token ids; None where the data has none.
        inputs: Makes what turns a batch's inputs into tokens of the model's width, of the dims and
            the vocab_size; None for TokenEmbedding. Its parameters are called `embedding.…`.
        causal: Whether a token sees only itself and its past.
        positional: Makes the encoding from the model's dims.
        positions: Where tokens are; None for where the inputs say (`Patches`: at their row and
            column), else counting 0, 1, 2, …
        optimizer: Makes the optimizer from parameter groups; None makes torch's AdamW. Not AdamW
            itself: its weight decay would pass to whatever optimizer a config names instead.
        schedule: Makes the schedule from the optimizer and, by the name that it has there
            (total_steps, T_max, total_iters), the run's total steps. It is stepped once per
            optimizer step; ReduceLROnPlateau once per epoch, by val/loss. None for a constant
            rate.
        positional_lr_multiplier: Learning rate of the positional parameters over the others', not
            negative; 0 keeps them as they are.
        positional_weight_decay: Weight decay of the positional parameters, not negative.
        positional_warmup_steps: Steps over which the learning rate of the positional parameters
            rises linearly to what the schedule gives them.
        positional_frozen_steps: Steps before those, in which the positional parameters stay as
            they are.
        label_smoothing: Share of a target's probability that all classes have in equal parts, in
            [0, 1), in the loss of training alone.
        layer_decay: Learning rate of a block over that of the block above it, in (0, 1];
            `layer_decay.py` says of what else.
        muon_groups: Whether the blocks' matrices are a group apart, and groups are marked
            `use_muon`, as optimizers of the Muon family ask for it: `muon_groups.py`.
        compile: Whether `torch.compile` runs the encoder, in place: checkpoints stay as they are.
            Or the options that it is called with, such as {mode: max-autotune} or
            {backend: aot_eager}. A second length of sequences compiles once more, and further
            ones do not, unless {dynamic: false} says so.
        checkpoint_activations: Whether the backward pass computes blocks again, whose activations
            are then not stored: less memory for the time of a forward pass more.

    Raises:
        ValueError: If activations are to be computed again that are not stored anyway, in a model
            with a reversible residual.
    """

    def __init__(
        self,
        encoder: EncoderSpec,
        vocab_size: int | None,
        *,
        inputs: InputsFactory | None = None,
        causal: bool = False,
        positional: Factory = NoPE,
        positions: Positions | None = None,
        optimizer: OptimizerFactory | None = None,
        schedule: ScheduleFactory | None = WarmupCosine,
        positional_lr_multiplier: float = 1.0,
        positional_weight_decay: float = 0.0,
        positional_warmup_steps: int = 0,
        positional_frozen_steps: int = 0,
        label_smoothing: float = 0.0,
        layer_decay: float = 1.0,
        muon_groups: bool = False,
        compile: bool | dict[str, Any] = False,
        checkpoint_activations: bool = False,
    ) -> None:
        super().__init__(
            optimizer=rebuilt("optimizer", optimizer),
            schedule=rebuilt("schedule", schedule),
            layer_decay=layer_decay,
            muon_groups=muon_groups,
            compile=compile,
        )
        self.keep_hyperparameters(inspect.currentframe())
        encoder = rebuilt("encoder", encoder)
        positional, positions = rebuilt("positional", positional), rebuilt("positions", positions)
        inputs = TokenEmbedding if inputs is None else rebuilt("inputs", inputs)
        is_a(self, "positional", positional, Callable)
        is_a(self, "encoder", encoder, EncoderSpec)
        self.encoder = encoder.build(positional, positions, causal)
        if checkpoint_activations and self.encoder.reversible:
            raise ValueError(
                f"{type(self).__name__}: checkpoint_activations=true is for activations that are "
                "stored, and a reversible residual stores none: leave it out"
            )
        self.encoder.checkpoint_activations = is_a(
            self, "checkpoint_activations", checkpoint_activations, bool
        )
        dims = self.encoder.dims
        self.embedding: Inputs = made(self, "inputs", inputs, Inputs, dims, vocab_size)
        self.placed_by_inputs = positions is None
        number(self, "positional_lr_multiplier", positional_lr_multiplier, 0)
        number(self, "positional_weight_decay", positional_weight_decay, 0)
        whole(self, "positional_warmup_steps", positional_warmup_steps, 0, MOST_STEPS)
        whole(self, "positional_frozen_steps", positional_frozen_steps, 0, MOST_STEPS)
        self.positional_lr_multiplier = positional_lr_multiplier
        self.positional_weight_decay = positional_weight_decay
        self.positional_warmup_steps = positional_warmup_steps
        self.positional_frozen_steps = positional_frozen_steps
        self.label_smoothing = number(self, "label_smoothing", label_smoothing, 0, below=1)

    @property
    def smoothing(self) -> float:
        """Smoothing of the labels now: evaluation has none."""
        return self.label_smoothing if self.training else 0.0

    @property
    def positional(self) -> PositionalEncoding:
        """The encoding, whose parameters are exactly the positional ones; of several stages the
        first one's.
        """
        return self.encoder.positional

    @property
    def trunk(self) -> nn.Module:
        return self.encoder

    @property
    def blocks(self) -> Sequence[nn.Module]:
        return self.encoder.all_blocks

    @property
    def gathered(self) -> Sequence[nn.Module]:
        # Power iterations read the blocks' weights outside them: then all of the encoder is one.
        return () if self.encoder.sigma_reparam else self.blocks

    @property
    def input_parameters(self) -> Iterable[nn.Parameter]:
        return self.embedding.parameters()

    def idle_parameters(self) -> Sequence[nn.Parameter]:
        return list(idle_parameters(self.encoder.encodings))

    def encode(self, tokens: Tensor, batch: Batch) -> Tensor:
        """Embed and encode what the inputs take, (B, T) ids or (B, …): (B, T, D)."""
        x, positions, ids = self.embedded(tokens, batch)
        lengths = self.token_lengths(batch)
        return self.encoder(
            x, lengths=lengths, documents=batch.documents, positions=positions, tokens=ids
        )

    def token_lengths(self, batch: Batch) -> Tensor | None:
        """(B,) tokens that the encoder reads of each sequence; None if all are full."""
        return None if batch.lengths is None else self.embedding.lengths(batch.lengths)

    def embedded(
        self, tokens: Tensor, batch: Batch
    ) -> tuple[Tensor, Tensor | Places | None, Tensor | None]:
        """What the inputs make of (B, T) ids or (B, …): tokens (B, T, D); where they are, None for
        where the sampler says; and their ids (B, T), if they are any.
        """
        positions: Tensor | Places | None = batch.positions
        if positions is None and self.placed_by_inputs:
            positions = self.embedding.places(tokens)
            if not isinstance(positions, Places | None):
                raise misgiven(self.embedding, "places", positions, "Places, or None")
        length = tokens.shape[1] if are_ids(tokens) else None
        shape = (len(tokens), length, self.encoder.dims.d_model)
        told = (batch.lengths,) if self.embedding.reads_lengths else ()
        x = returned(self.embedding, "forward", self.embedding(tokens, *told), shape)
        return x, positions, tokens if are_ids(tokens) else None

    def parameter_groups(self) -> list[dict[str, Any]]:
        return parameter_groups(
            self, self.encoder.encodings, self.positional_weight_decay, later=self.thawed_later
        )

    def rate_factor(self, group: dict[str, Any]) -> float:
        of_positions = self.positional_lr_multiplier if group.get("name") == "positional" else 1.0
        return super().rate_factor(group) * of_positions

    def rate_options(self) -> str:
        if self.layer_decay == 1:
            return f"positional_lr_multiplier={self.positional_lr_multiplier}"
        return super().rate_options()

    def held_back(self, schedule: Any) -> Any:
        return held_back(
            schedule, "positional", self.positional_warmup_steps, self.positional_frozen_steps
        )
