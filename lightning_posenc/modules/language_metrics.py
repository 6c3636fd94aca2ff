"""What is said of a language model besides its loss."""

import math
from typing import Any

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

from lightning_posenc.data.text.token_bytes import token_bytes
from lightning_posenc.modules.target_bytes import BYTES, TargetBytes
from lightning_posenc.tasks import IGNORE


def language_metrics(vocab_size: int, datamodule: Any, masked: bool) -> dict[str, Metric]:
    """Accuracy; and of a causal model the bytes of its targets, where the data's vocabulary tells
    what a token stands for.

    Args:
        vocab_size: Token ids that the model scores.
        datamodule: The trainer's; None without one.
        masked: Whether the model guesses hidden tokens.
    """
    acc = MulticlassAccuracy(vocab_size, average="micro", ignore_index=IGNORE)
    sizes = token_bytes(getattr(datamodule, "vocabulary", None))
    if sizes is None or masked:
        return {"acc": acc}
    return {"acc": acc, BYTES: TargetBytes(sizes)}


def with_perplexity(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add the perplexity, exp(loss), and `bits_per_byte`, which does not depend on how the text is
    cut into tokens: loss · tokens / bytes / ln 2.
    """
    found = {name: value for name, value in values.items() if name != BYTES}
    if BYTES in values:
        found["bits_per_byte"] = values["loss"] / values[BYTES] / math.log(2)
    return {**found, "perplexity": values["loss"].exp()}
