"""Write one sequence after reading another.

Shapes: B sequences, S tokens of a source, T of an answer, W hypotheses, D = d_model, V token ids.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

from lightning_posenc.checks import MOST_WIDTH, is_a, made, number, whole
from lightning_posenc.data.batch import Batch
from lightning_posenc.diagnostics.metric_keys import Key
from lightning_posenc.dims import Dims
from lightning_posenc.draws import sent
from lightning_posenc.model.decoder import decoder_of
from lightning_posenc.model.encoder import EncoderSpec
from lightning_posenc.model.encoder_decoder import check_sides, read
from lightning_posenc.model.inputs import InputsFactory, TokenEmbedding
from lightning_posenc.model.memory import CrossReading, Memory
from lightning_posenc.modules.base import EncoderModule
from lightning_posenc.modules.beam import Written, beam_search, greedily
from lightning_posenc.modules.exact_match import ExactMatch
from lightning_posenc.modules.heads import new_head, tied_scale
from lightning_posenc.modules.hyperparameters import rebuilt
from lightning_posenc.modules.loss import cross_entropy
from lightning_posenc.modules.metrics import WideMetrics, wide_by_default
from lightning_posenc.modules.optim import parameter_groups
from lightning_posenc.modules.stepwise import Stepwise
from lightning_posenc.modules.teacher_forcing import answer_lengths, shifted, unscored_left_out
from lightning_posenc.modules.text_scores import TEXTS, TextScores, checked_kinds, in_words
from lightning_posenc.positional import NoPE
from lightning_posenc.positional.base import Factory
from lightning_posenc.positional.compose import idle_parameters
from lightning_posenc.positions import Positions
from lightning_posenc.tasks import IGNORE


class SequenceToSequence(EncoderModule):
    """An encoder reads a source, and a decoder writes the answer to it token by token.

    A batch's `tokens` are the source, its `targets` the answer, whose last token is the end, V - 1.
    The decoder reads the answer one place to the right, behind an end that begins it ("teacher
    forcing"), so that `exact`, the share of answers that are right to the last token, is that of
    greedy decoding. Where something is to be written (`beams`, `text_scores`), the test writes too:
    `exact_written`, `bleu`, `chrf`. Source: Vaswani et al. 2017, arXiv:1706.03762.

    Args:
        encoder: Sizes and wiring of the encoder.
        vocab_size: Number of token ids of sources; None where the data has none, as of images.
        n_classes: V, number of token ids of answers, of which the last one ends an answer.
        decoder: Sizes and wiring of the decoder, of the same width; None for the encoder's.
        decoder_positional: Makes the decoder's encoding; None for one like the encoder's.
        decoder_positions: Where the answer's tokens are; None counts 0, 1, 2, …
        cross: Makes what reads the source, of the decoder's dims: `CrossReading`, whose own
            `positional` tells places of the answer from places of the source.
        target_inputs: Makes the embedding of answers; None for TokenEmbedding. Its parameters are
            called `target_embedding.…`.
        share_embeddings: Whether sources and answers have one table, of ids up to the larger of the
            two numbers: where they are of one vocabulary.
        tie_weights: Whether the head is the answers' embedding, scaled as in `LanguageModel`.
        scheduled_sampling: Probability, in training, that the decoder reads in place of a token of
            the answer the one that it would have said there itself; in [0, 1).
        beams: W, hypotheses of the beam that `predict` and `test` write with; 1 for greedy.
        length_penalty: Exponent alpha of `beam.penalty`, at least 0.
        answer_length: The most tokens that are written, the end included; None for twice as many
            as the source has and 16 more.
        text_scores: What the test compares texts by, of "bleu" and "chrf"; None for nothing.
        kwargs: Arguments of `EncoderModule` but `causal`.
    """

    def __init__(
        self,
        encoder: EncoderSpec,
        vocab_size: int | None,
        n_classes: int,
        *,
        decoder: EncoderSpec | None = None,
        decoder_positional: Factory | None = None,
        decoder_positions: Positions | None = None,
        cross: Callable[[Dims], CrossReading] | None = None,
        target_inputs: InputsFactory | None = None,
        share_embeddings: bool = False,
        tie_weights: bool = True,
        scheduled_sampling: float = 0.0,
        beams: int = 1,
        length_penalty: float = 0.0,
        answer_length: int | None = None,
        text_scores: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("causal"):
            raise ValueError(
                "SequenceToSequence: causal=true: the source is there as a whole, and the decoder "
                "is causal anyway: leave it out"
            )
        whole(self, "n_classes", n_classes, 2)
        n_shared = max(vocab_size or 0, n_classes) if share_embeddings else vocab_size
        super().__init__(encoder, n_shared, **kwargs)
        self.n_classes = n_classes
        self.end = n_classes - 1
        spec = rebuilt("encoder" if decoder is None else "decoder", decoder or encoder)
        is_a(self, "decoder", spec, EncoderSpec)
        like = kwargs.get("positional", NoPE) if decoder_positional is None else decoder_positional
        positional = is_a(self, "decoder_positional", rebuilt("positional", like), Callable)
        positions = rebuilt("decoder_positions", decoder_positions)
        is_a(self, "decoder_positions", positions, Positions | None)
        cross = CrossReading if cross is None else rebuilt("cross", cross)
        self.decoder = decoder_of(spec, positional, positions, cross)
        check_sides(self.encoder, self.decoder)
        self.decoder.checkpoint_activations = self.encoder.checkpoint_activations
        self.target_embedding: TokenEmbedding | None = None
        if not share_embeddings:
            make = TokenEmbedding if target_inputs is None else rebuilt("inputs", target_inputs)
            dims = self.decoder.dims
            self.target_embedding = made(
                self, "target_inputs", make, TokenEmbedding, dims, n_classes
            )
        elif vocab_size is None or not isinstance(self.embedding, TokenEmbedding):
            raise ValueError("SequenceToSequence: share_embeddings=true needs sources of token ids")
        d_model = self.decoder.dims.d_model
        self.head = None if tie_weights else new_head(d_model, n_classes, bias=False)
        number(self, "scheduled_sampling", scheduled_sampling, 0, below=1)
        self.scheduled_sampling = scheduled_sampling
        self.beams = whole(self, "beams", beams, most=MOST_WIDTH)
        self.length_penalty = number(self, "length_penalty", length_penalty, 0)
        if answer_length is not None:
            whole(self, "answer_length", answer_length)
        self.answer_length = answer_length
        self.text_scores = checked_kinds(self, text_scores)
        self.writes_in_test = self.beams > 1 or bool(self.text_scores)
        self.told_apart = frozenset({TEXTS})

    def forward(self, batch: Batch) -> Tensor:
        """`logits` of a batch."""
        return self.logits(is_a(self, "batch", batch, Batch))

    def logits(self, batch: Batch) -> Tensor:
        """(B, T, V), each answer's tokens said of those before them."""
        memory, answers = self.memory(batch), shifted(batch.targets, self.end)
        if self.training and self.scheduled_sampling:
            answers = self._sampled(batch, memory, answers)
        return self._said(batch, memory, answers)

    def memory(self, batch: Batch) -> Memory:
        """What the encoder makes of the sources, for the decoder to read."""
        x, positions, ids = self.embedded(batch.tokens, batch)
        return read(self.encoder, x, self.token_lengths(batch), positions, ids)

    def score(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor, Tensor]:
        if batch.targets.dim() != 2:
            raise ValueError(
                "SequenceToSequence writes answers, and the data has one class for a sequence: "
                "choose --data=PairData, or --model=SequenceClassifier"
            )
        logits = self.logits(batch)
        return cross_entropy(logits, batch.targets, self.smoothing), logits, batch.targets

    @torch.no_grad()
    def write(
        self,
        batch: Batch,
        *,
        beams: int | None = None,
        length: int | None = None,
        use_cache: bool = True,
    ) -> Written:
        """Write the answers to a batch's sources, whose targets are not looked at.

        Args:
            batch: Of B sources.
            beams: W; None for the module's own.
            length: The most tokens of an answer, the end included; None for the module's own.
            use_cache: Whether keys and values are remembered: the same result, sooner.

        Raises:
            ValueError: If an encoding cannot serve the length, or go on from remembered keys.
        """
        beams = self.beams if beams is None else whole(self, "beams", beams, most=MOST_WIDTH)
        most = self.answer_length if length is None else whole(self, "length", length)
        memory = self.memory(batch)
        n_sequences, n_read, _ = memory.states.shape
        own = memory.places.lengths if most is None else None
        limits = None if own is None else 2 * own + 16  # not those of a longer source beside it
        most = 2 * n_read + 16 if most is None else most
        of = self.decoder, self.answers_embedding, self.scores
        step = Stepwise(*of, n_sequences, most, use_cache, memory, beams)
        first = torch.full((n_sequences,), self.end, device=memory.states.device)
        if beams == 1:
            return greedily(step, first, self.end, most, limits)
        return beam_search(step, first, self.end, most, beams, self.length_penalty, limits)

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """What is written: `Written`."""
        return self.write(batch)

    def scores(self, states: Tensor) -> Tensor:
        """Map (…, D) to (…, V)."""
        if self.head is not None:
            return self.head(states)
        embedding = self.answers_embedding
        return F.linear(states * tied_scale(embedding), embedding.weight[: self.n_classes])

    @property
    def answers_embedding(self) -> TokenEmbedding:
        """The embedding of answers."""
        own = self.target_embedding
        return cast(TokenEmbedding, self.embedding) if own is None else own

    def new_metrics(self) -> dict[str, Metric]:
        acc = MulticlassAccuracy(self.n_classes, average="micro", ignore_index=IGNORE)
        found: dict[str, Metric] = {"acc": acc, "exact": ExactMatch()}
        return found | ({TEXTS: TextScores(self.text_scores)} if self.writes_in_test else {})

    def with_derived(self, values: dict[str, Any]) -> dict[str, Tensor]:
        """Put the scores of texts in the place of their metric; validation writes none."""
        texts = values.pop(TEXTS, {})
        return values | {name: value for name, value in texts.items() if not value.isnan()}

    @property
    def observed(self) -> nn.Module:
        """The stack that callbacks watch: that of the source, whose lengths a batch tells."""
        return self.encoder

    @property
    def trunk(self) -> nn.Module:
        return self.decoder

    @property
    def trunks(self) -> Sequence[nn.Module]:
        return self.encoder, self.decoder

    @property
    def blocks(self) -> Sequence[nn.Module]:
        return [*super().blocks, *self.decoder.blocks]

    @property
    def gathered(self) -> Sequence[nn.Module]:
        whole_sides = self.encoder.sigma_reparam or self.decoder.sigma_reparam
        return () if whole_sides else self.blocks

    @property
    def input_parameters(self) -> Iterable[nn.Parameter]:
        tables = (self.embedding, self.target_embedding)
        return [p for table in tables if table is not None for p in table.parameters()]

    @property
    def encodings(self) -> nn.ModuleList:
        """The encodings of the source, of the answer, and of the one read by the other."""
        return nn.ModuleList(
            [self.positional, self.decoder.positional, self.decoder.cross.positional]
        )

    def idle_parameters(self) -> Sequence[nn.Parameter]:
        return list(idle_parameters(self.encodings))

    def parameter_groups(self) -> list[dict[str, Any]]:
        return parameter_groups(
            self, self.encodings, self.positional_weight_decay, later=self.thawed_later
        )

    def _evaluate(self, of: Key, batch: Batch, batch_idx: int) -> Tensor:
        predictions = super()._evaluate(of, batch, batch_idx)
        if self.writes_in_test:
            texts = cast(TextScores, cast(WideMetrics, self.metrics[str(of)])[TEXTS])
            written: list[str] = []
            right: list[str] = []
            if of.stage == "test":
                written = in_words(self.datamodule, self.write(batch).answers())
                right = in_words(self.datamodule, unscored_left_out(batch.targets, self.end))
            with wide_by_default():
                texts.update(written, right)
        return predictions

    def _said(self, batch: Batch, memory: Memory, answers: Tensor) -> Tensor:
        """Logits (B, T, V) of what follows each of the tokens (B, T) that the decoder reads."""
        lengths = answer_lengths(batch.targets)
        x = self.answers_embedding(answers)
        states = self.decoder(x, lengths=lengths, tokens=answers, memory=memory)
        return self.scores(states)

    @torch.no_grad()
    def _sampled(self, batch: Batch, memory: Memory, answers: Tensor) -> Tensor:
        """Answers as the decoder reads them, some tokens being those that it would have said.

        Source: Bengio et al. 2015, "Scheduled Sampling for Sequence Prediction with Recurrent
        Neural Networks", arXiv:1506.03099, in the two passes of Mihaylova and Martins 2019,
        arXiv:1906.07651, the likeliest token being said; the rate is constant.
        """
        said = self._said(batch, memory, answers).argmax(dim=-1)
        own = torch.cat([answers[:, :1], said[:, :-1]], dim=1)
        drawn = torch.rand(answers.shape, dtype=torch.float32, device="cpu")
        chosen = sent(drawn, answers.device) < self.scheduled_sampling
        chosen[:, 0] = False
        return torch.where(chosen, own, answers)
