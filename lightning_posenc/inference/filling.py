"""Guess the hidden tokens of a text, as a masked language model does.

Shapes: T tokens, V token ids.
"""

from typing import Any

import torch

from lightning_posenc.data.batch import Batch
from lightning_posenc.inference.readers.base import unknown_targets
from lightning_posenc.inference.readers.texts import TextReader

HIDDEN = "[MASK]"  # what a person writes for a hidden token
SHOWN = 5  # guesses for each


def filled(
    module: Any, text: str, reader: TextReader, mask_id: int, device: torch.device
) -> dict[str, Any]:
    """The likeliest tokens in the place of each `[MASK]`, and the text with the first of them.

    Args:
        module: A masked language model in evaluation mode.
        text: With a `[MASK]` for each hidden token.
        reader: Reads its parts.
        mask_id: What stands for a hidden token.
        device: Where the model is.

    Raises:
        ValueError: If nothing is hidden, or what is lies beyond the length of training.
    """
    parts = text.split(HIDDEN)
    if len(parts) < 2:
        raise ValueError(f"a masked language model guesses hidden tokens: write {HIDDEN} for each")
    ids: list[int] = []
    holes = []
    for n, part in enumerate(parts):
        if n:
            holes.append(len(ids))
            ids.append(mask_id)
        ids += reader.ids(part).tolist()
    if holes[-1] >= reader.trained:
        raise ValueError(
            f"a {HIDDEN} stands behind the first {reader.trained} tokens, which the model was "
            "trained on: shorten the text before it"
        )
    tokens = torch.tensor([ids[: reader.trained]])
    logits = module.logits(Batch(tokens, unknown_targets(1)).to(device))[0].float()
    best = (
        logits[holes, : reader.vocabulary.size]
        .softmax(dim=-1)
        .topk(min(SHOWN, reader.vocabulary.size))
    )
    decode = reader.vocabulary.decode
    guesses = [
        [{"token": decode([n]), "score": round(p, 6)} for n, p in zip(row, shares, strict=True)]
        for row, shares in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]
    for place, row in zip(holes, best.indices[:, 0].tolist(), strict=True):
        ids[place] = row
    return {"text": decode(ids), "guesses": guesses}
