"""Transcribe frames: a token or a blank for each of them, in the order in which they come.

Shapes: B sequences, N frames, T tokens that the encoder makes of them, U tokens of a transcript,
D = d_model, C = n_classes.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from lightning_posenc.checks import whole
from lightning_posenc.data.batch import Batch
from lightning_posenc.data.pairs.tasks import at_the_front
from lightning_posenc.model.encoder import EncoderSpec
from lightning_posenc.modules.base import EncoderModule
from lightning_posenc.modules.beam import Written
from lightning_posenc.modules.called import as_batch
from lightning_posenc.modules.heads import new_head
from lightning_posenc.modules.transcripts import ExactTranscript, TokenErrorRate
from lightning_posenc.tasks import IGNORE


class CTCModel(EncoderModule):
    """An encoder with a linear head over C tokens and a blank, trained by CTC.

    The loss is the negative logarithm of the probability of all alignments of a transcript, over
    its tokens. What is written is greedy: the likeliest at each place, repetitions as one, without
    blanks. Evaluation logs `error_rate`, errors of an edit distance over the transcripts' tokens,
    and `exact`. Source: Graves et al. 2006, "Connectionist Temporal Classification", ICML.

    Args:
        encoder: Sizes and wiring of the encoder.
        vocab_size: Number of token ids of inputs; None where they are frames.
        n_classes: C, number of token ids of transcripts; the blank is one more, C.
        head_bias: Whether the head adds a learned number for each token.
        kwargs: Arguments of `EncoderModule` but `label_smoothing`.

    Raises:
        ValueError: On labels that are to be smoothed.
    """

    def __init__(
        self,
        encoder: EncoderSpec,
        vocab_size: int | None,
        n_classes: int,
        *,
        head_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("label_smoothing"):
            raise ValueError(
                f"CTCModel: label_smoothing={kwargs['label_smoothing']}: an alignment has no "
                "labels to smooth: leave it out"
            )
        super().__init__(encoder, vocab_size, **kwargs)
        self.n_classes = self.blank = whole(self, "n_classes", n_classes)
        self.head = new_head(self.encoder.dims.d_model, n_classes + 1, head_bias)

    def forward(self, batch: Batch | Tensor) -> Tensor:
        """`logits` of a batch, or of inputs (B, N, …) without padding."""
        return self.logits(as_batch(self, batch))

    def logits(self, batch: Batch) -> Tensor:
        """(B, T, C + 1); what stands beyond a sequence's end means nothing."""
        return self.head(self.encode(batch.tokens, batch))

    def score(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor, Tensor]:
        if batch.targets.dim() != 2:
            raise ValueError(
                "CTCModel writes transcripts, and the data has one class for a sequence: choose "
                "--data=ToneData, or --model=SequenceClassifier"
            )
        if batch.targets.device.type == "cpu":  # where reading them makes nobody wait
            self._check_alignable(batch)
        logits = self.logits(batch)
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        sizes = (batch.targets != IGNORE).sum(dim=1)
        of_each = F.ctc_loss(
            wide.log_softmax(dim=-1).transpose(0, 1),
            batch.targets.clamp(min=0),
            self._n_read(batch),
            sizes,
            self.blank,
            reduction="none",
        )
        return of_each.sum() / sizes.sum().clamp(min=1), logits, batch.targets

    def _check_alignable(self, batch: Batch) -> None:
        """Refuse transcripts that no alignment has, whose loss would be infinite.

        Raises:
            ValueError: Naming the first.
        """
        needed, n_read = shortest(batch.targets), self._n_read(batch)
        if len(short := (needed > n_read).nonzero().flatten()):
            row = int(short[0])
            raise ValueError(
                f"CTCModel: a transcript of {int((batch.targets[row] != IGNORE).sum())} tokens "
                f"wants {int(needed[row])} places, and {int(n_read[row])} come of its frames: "
                "lower the subsampling of the inputs, or leave such recordings out"
            )

    def predicted(self, logits: Tensor, batch: Batch) -> Tensor:
        """What is written (B, U'), IGNORE behind it; as wide as the targets at least."""
        best = logits.argmax(dim=-1)
        places = torch.arange(best.shape[1], device=best.device)
        beyond = places >= self._n_read(batch).unsqueeze(1)
        repeats = F.pad(best[:, 1:] == best[:, :-1], (1, 0))
        left_out = beyond | repeats | (best == self.blank)
        written = at_the_front(best.masked_fill(left_out, IGNORE))
        lacking = batch.targets.shape[-1] - written.shape[1] if batch.targets.dim() == 2 else 0
        return F.pad(written, (0, max(lacking, 0)), value=IGNORE)

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """What is written, with the logarithm of the probability of its likeliest alignment."""
        logits = self.logits(batch)
        tokens = self.predicted(logits, batch)
        real = torch.arange(logits.shape[1], device=logits.device) < self._n_read(batch)[:, None]
        best = logits.float().log_softmax(dim=-1).amax(dim=-1)
        scores = best.masked_fill(~real, 0.0).sum(dim=1, keepdim=True)
        ended = F.pad(tokens, (0, 1), value=IGNORE)
        return Written(ended.masked_fill(ended == IGNORE, self.blank)[:, None], scores, self.blank)

    def new_metrics(self) -> dict[str, Metric]:
        return {"error_rate": TokenErrorRate(), "exact": ExactTranscript()}

    def _n_read(self, batch: Batch) -> Tensor:
        """(B,) places at which something is said of each sequence."""
        lengths = self.token_lengths(batch)
        if lengths is not None:
            return lengths
        whole_rows = batch.targets.new_full((len(batch.tokens),), batch.tokens.shape[1])
        return self.embedding.lengths(whole_rows)


def shortest(targets: Tensor) -> Tensor:
    """How many places an alignment of each transcript (B, U) wants at least, (B,): one a token, and
    a blank between two that are the same.
    """
    scored = targets != IGNORE
    again = (targets[:, 1:] == targets[:, :-1]) & scored[:, 1:]
    return scored.sum(dim=1) + again.sum(dim=1)
