"""What a model says of its inputs, by name.

Shapes: B inputs, T tokens.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lightning_posenc.data.batch import Batch
from lightning_posenc.data.text.tagging import TaggingData
from lightning_posenc.inference.readers.words import words_of
from lightning_posenc.modules.beam import Written
from lightning_posenc.modules.classifiers import Predicted
from lightning_posenc.modules.entity_f1 import OUTSIDE, are_entities, entities, parse

Answer = dict[str, Any]
"""Plain values, which JSON and pandas take."""


def answers(found: Any, batch: Batch, data: Any, inputs: Sequence[Any]) -> list[Answer]:
    """What a model's `predict_step` has found, one for each input.

    Args:
        found: `Predicted`, `Written`, or classes (B,) or (B, T).
        batch: What the model has read.
        data: That of training, which knows names; or None.
        inputs: What the person gave; empty where that was a batch.
    """
    if isinstance(found, Written):
        scores = found.scores[:, 0].tolist()
        texts = [_printed(data, ids) for ids in found.answers()]
        return [{"text": t, "score": round(s, 6)} for t, s in zip(texts, scores, strict=True)]
    if not isinstance(found, Predicted):
        return [{"prediction": each} for each in found.tolist()]
    shares = found.probabilities.cpu().double().numpy()
    if found.classes.dim() == 1:
        names = _names(data, shares.shape[1])
        return [_labelled(names, int(n), row) for n, row in zip(found.classes, shares, strict=True)]
    width = found.classes.shape[1]
    lengths = [width] * len(shares) if batch.lengths is None else batch.lengths.tolist()
    per_token = zip(found.classes.tolist(), shares.round(6).tolist(), lengths, strict=True)
    if isinstance(data, TaggingData) and inputs:
        return [
            _tagged(data, words_of(sentence), classes[:n], of_classes[:n])
            for sentence, (classes, of_classes, n) in zip(inputs, per_token, strict=True)
        ]
    told = getattr(data, "class_names", None)
    return [
        {
            "prediction": [told[c] for c in classes[:n]] if told else classes[:n],
            "scores": of_classes[:n],
        }
        for classes, of_classes, n in per_token
    ]


def _names(data: Any, n_classes: int) -> list[str]:
    """Names of the classes; their numbers where they have none."""
    names = getattr(data, "class_names", None)
    return list(names) if names else [str(n) for n in range(n_classes)]


def _labelled(names: Sequence[str], label: int, shares: np.ndarray[Any, Any]) -> Answer:
    of_classes = dict(zip(names, shares.round(6).tolist(), strict=True))
    return {"label": names[label], "score": of_classes[names[label]], "probabilities": of_classes}


def _tagged(data: TaggingData, words: list[str], classes: list[int], shares: list[float]) -> Answer:
    """A sentence's words, tags and scores; and its entities, if tags are such as B-PER."""
    line = data.tagged(words, classes, shares)
    tags, scores = line["prediction"], line["probabilities"]
    answer: Answer = {"words": words, "tags": tags, "scores": scores}
    if not are_entities(data.class_names):
        return answer
    parsed = [OUTSIDE if tag is None else parse(tag) or OUTSIDE for tag in tags]
    found = sorted(entities(parsed), key=lambda entity: entity[1])
    answer["entities"] = [
        {
            "entity": kind,
            "text": " ".join(words[start:end]),
            "score": round(float(np.mean([s for s in scores[start:end] if s is not None])), 6),
            "start": start,
            "end": end,
        }
        for kind, start, end in found
    ]
    return answer


def _printed(data: Any, ids: list[int]) -> Any:
    """The text of an answer; its tokens where nobody says how they are printed."""
    printed = getattr(data, "printed_answer", None)
    return ids if printed is None else printed(ids)
