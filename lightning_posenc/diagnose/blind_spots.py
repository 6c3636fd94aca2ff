"""What an examination cannot see, in sentences for the page."""

from lightning_posenc.diagnose.examination import Examination


def blind_spots(examination: Examination) -> list[str]:
    """What of this model goes unseen, the gravest first."""
    e, found = examination, examination.evaluation
    unseen: list[str] = []
    if e.positional is None:
        unseen.append(
            "Another package's model is run on a few sequences, at its default positions and "
            "without targets: whether that is as it was trained, and what it learned, is not seen."
        )
    elif found is None:
        unseen.append("Nothing could be scored: whether the model works at all is not seen.")
    elif found.recorded is None:
        unseen.append(
            "Nobody told what the last validation said: a fault of evaluation that leaves the "
            "score above that without order, and that no treatment undoes, goes unseen."
        )
    if e.lengths.bound is None and found is not None:
        unseen.append(
            "How well these data can be served without order is not known: the score is held "
            "against the best single answer alone."
        )
    if found is not None and found.trial is not None and not found.trial.learned:
        unseen.append(
            "Neither this model nor a small fresh one learned anything: whether labels, rate, "
            "steps or difficulty are the cause cannot be told, nor whether the encoding is."
        )
    unseen.append(
        "Never seen: faults that cost less than a tenth of the accuracy; labels that are wrong by "
        "a rule in training and validation alike; whether another encoding, size or rate would "
        "do better."
    )
    return unseen
