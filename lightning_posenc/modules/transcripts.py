"""How near are written tokens to the right ones, where either may be longer than the other?

Shapes: B sequences, U tokens of a transcript, U' of what was written.
"""

from torch import Tensor
from torch.nn import functional as F
from torchmetrics.text import WordErrorRate

from lightning_posenc.modules.exact_match import ExactMatch
from lightning_posenc.tasks import IGNORE

_END = -1  # behind the last token, which is at least 0


class TokenErrorRate(WordErrorRate):
    """Tokens that are to be put in, left out or replaced, over those of the right transcripts:
    torchmetrics' word error rate, whose words are token ids.
    """

    def update(self, predictions: Tensor, targets: Tensor) -> None:  # type: ignore[override]
        """Count (B, U') and (B, U), each of which ends with IGNORE or with the row."""
        super().update(_words(predictions), _words(targets))


class ExactTranscript(ExactMatch):
    """Share of transcripts that are right to the last token, and no longer."""

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """Count (B, U') and (B, U), each of which ends with IGNORE or with the row."""
        width = max(predictions.shape[1], targets.shape[1])
        super().update(_ended(predictions, width), _ended(targets, width))


def _words(tokens: Tensor) -> list[str]:
    return [" ".join(str(n) for n in row if n != IGNORE) for row in tokens.tolist()]


def _ended(tokens: Tensor, width: int) -> Tensor:
    wide = F.pad(tokens, (0, width + 1 - tokens.shape[1]), value=IGNORE)
    return wide.masked_fill(wide == IGNORE, _END)
