"""What an examination cannot see, in sentences for the page."""

from lightning_posenc.diagnose.examination import Examination


def blind_spots(examination: Examination) -> list[str]:
    """What of this model goes unseen, the gravest first."""
    e, found = examination, examination.evaluation
    unseen: list[str] = []
    if not e.is_own:
        return _of_other(e)
    if found is None:
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
            "Neither this model nor a small fresh one learned the task: whether labels, rate, "
            "steps or difficulty are the cause cannot be told, nor whether the encoding is."
        )
    if e.grid is not None:
        unseen.append(
            "Of several stages the first one is looked at, by layer; of several class tokens and "
            "the head's reading of them nothing."
        )
    if found is not None and found.transcribed:
        unseen.append(
            "Which token of a transcript belongs to which place is not known: targets that are "
            "off by one, or classes under other numbers, go unseen."
        )
    unseen.append(
        "Never seen: faults that cost less than a tenth of the accuracy; labels that are wrong by "
        "a rule in training and validation alike; whether another encoding, size or rate would "
        "do better."
    )
    return unseen


def _of_other(e: Examination) -> list[str]:
    """What of another package's model goes unseen."""
    scored = e.language is not None and e.language.n_tokens > 0
    unseen = [
        "Nobody told how it was trained: on which positions, how long, on what. Steps, rate and "
        "the last validation are not seen, and the trained length is what its files imply."
    ]
    if not scored:
        unseen.append(
            "Nothing was scored: that it turns by the frequencies of its training, or reads the "
            "rows that it was trained with, is seen by the loss of a text alone (--text)."
        )
    if e.hidden_positions:
        unseen.append(
            f"How it knows order cannot be changed from outside ({e.hidden_positions}): other "
            "positions were not tried."
        )
    unseen.append(
        "Never seen: positions that cost less than 3 % of the loss; what the model writes, and "
        "whether that is true; prompts and chat templates; whether another encoding would do "
        "better."
    )
    return unseen
