"""Is the model evaluated as it was trained, does it read what it must not, has it learned?"""

from lightning_posenc.diagnose.ailments.base import (
    CERTAIN,
    HEALED,
    Ailment,
    Finding,
    Remedy,
    Verdict,
    above_guess,
    at_bound,
    fallen,
    floor,
    healing,
    healthy,
    ill,
    is_trained,
    knows_something,
    learned,
    moved_enough,
    not_applicable,
    not_judged,
    unmeasured,
    watch,
)
from lightning_posenc.diagnose.evaluation import Evaluation
from lightning_posenc.diagnose.examination import Examination
from lightning_posenc.diagnose.language import Language
from lightning_posenc.diagnose.learning import RATE

LEAK = 1e-4  # change of what must not change, over its spread; rounding makes 1e-6
CONFIDENT = 1.15  # loss over that of a guess: wrong, and sure of it
ENOUGH = 1000  # tokens, below which how often each is there is not known
BY_HEART = 0.2  # accuracy on training batches above that on validation

_OTHERS = "weights, positions or data are not those of training"
_COMPARE = Remedy(
    "",
    "validate with the config that the checkpoint holds, `test --ckpt_path` and nothing else, and "
    "compare: what then is right was changed by an argument, by the data or in the weights",
)


def _evaluation(e: Examination) -> Finding:
    found = e.evaluation
    if found is None:
        nobody = "nobody told how it was trained and scored: see 17"
        return unmeasured(e, "there is nothing to score") if e.is_own else not_judged(nobody)
    now = found.score
    said = f"{_called(found)} {now.accuracy:.3f}, loss {now.loss:.3g} nats at the trained length"
    if e.lengths.bound is not None:
        said += f" (without order at most {e.lengths.bound:.3f})"
    if found.recorded is not None:
        said += f"; the last validation before the checkpoint said {found.recorded.accuracy:.3f}"
    best = healing(e)
    if best is not None:
        assert found.before is not None
        with_it = f"with {best.name} the accuracy is {best.score.accuracy:.3f}"
        if best.score.accuracy - found.before.accuracy >= HEALED * (1 - found.before.accuracy):
            return ill(f"{best.fault}: {with_it}; {said}", _COMPARE)
        if best.score.accuracy > (floor(e) or 0.0) + CERTAIN * best.score.error:
            return ill(f"{_OTHERS}, and one thing mends a part: {with_it}; {said}", _COMPARE)
        return ill(f"{_OTHERS}: {said}", _COMPARE)
    if fallen(e):
        return ill(f"{_OTHERS}: {said}", _COMPARE)
    if is_trained(e) is False:
        return not_judged(f"{said}; not trained enough to tell: see 16")
    if learned(e):
        return healthy(said)
    training = found.training
    if training is not None and training.accuracy > now.accuracy + BY_HEART:
        if found.endless:
            return ill(
                f"{said}; on training batches the accuracy is {training.accuracy:.3f}: validation "
                "data are made otherwise",
                _COMPARE,
            )
        return not_judged(f"{said}; training data are known by heart: see 16")
    agrees = found.recorded is not None and not fallen(e)
    if moved_enough(e) and not agrees and found.score.loss > CONFIDENT * found.guess.loss:
        return ill(
            f"{_OTHERS}: {said}, wrong and surer of it than a model that knows nothing "
            f"({found.guess.loss:.3g} nats)",
            _COMPARE,
        )
    return not_judged(f"{said}: it has not learned the task, see 16")


def _called(found: Evaluation) -> str:
    """What the accuracy is: of transcripts, what is left of 1 by errors."""
    return "1 less the error rate" if found.transcribed else "accuracy"


def _leaks(e: Examination) -> Finding:
    found = e.leaks
    if found is None:
        return unmeasured(e, "what tokens read was not seen")
    must_not = found.said_causal or found.next_token
    future = (
        f"other tokens later on change earlier states by {found.future:.2g} of their spread"
        if must_not
        else "the model may see both sides"
    )
    padding = (
        ("no padding could be tried" if e.is_own else "of padding see 17")
        if found.padding is None
        else f"other padding changes the answers by {found.padding:.2g} of their spread"
    )
    said = f"{future}; {padding}"
    if found.packed is not None:
        said += f"; of its row's first document the second's states show {found.packed:.2g}"
    if must_not and found.future > LEAK:
        why = (
            "the target is the next token" if found.next_token else "the model is said to be causal"
        )
        return ill(
            f"{why}, yet the future is read: {said}; a good score says nothing",
            Remedy(
                "", "a causal mask: `causal=true` of a classifier; a LanguageModel brings its own"
            ),
        )
    if found.padding is not None and found.padding > LEAK:
        return ill(
            f"padding is read: {said}",
            Remedy("", "hand the lengths of the sequences on to the encoder: `lengths`"),
        )
    if found.packed is not None and found.packed > LEAK:
        return ill(
            f"documents of one row read each other: {said}",
            Remedy("", "hand `documents` on to the encoder, and let sums and convolutions along "
                   "the sequence stop where one starts"),
        )  # fmt: skip
    return healthy(said)


def _not_learned(e: Examination) -> Finding:
    found = e.evaluation
    if e.language is not None:
        return _no_language(e, e.language)
    if e.steps is None or found is None:
        return unmeasured(e, "the steps, or the targets, are not known")
    if e.steps == 0:
        return not_applicable("untrained")
    now, guess = found.score, found.guess
    said = (
        f"{_called(found)} {now.accuracy:.3f}, loss {now.loss:.3g} nats after {e.steps:,} steps"
        + ("" if e.rate is None else f" at a rate of {e.rate:.2g}")
        + f"; one answer given always: {guess.accuracy:.3f}, {guess.loss:.3g} nats"
    )
    if found.moved is not None:
        said += f"; weights moved by {found.moved:.2g}"
    if _evaluation(e).verdict == Verdict.ILL:
        return not_judged(f"what it has learned does not show in this score, see 14: {said}")
    if learned(e):
        return healthy(said)
    longer = Remedy("--trainer.max_epochs=10", "train for longer")
    faster = _at_rate(e, "and at a higher rate, if the loss hardly moves")
    if is_trained(e) is False:
        return watch(f"not trained enough to judge: {said}", longer, *faster)
    training = found.training
    if training is not None and not found.endless and training.accuracy > now.accuracy + BY_HEART:
        return watch(
            f"{said}; {training.accuracy:.3f} on training batches, known by heart: too few "
            "data, labels without a rule, or validation data of another kind",
            Remedy("--model.encoder.dropout=0.2", "and more data, or fewer steps"),
        )
    if found.trial is not None and found.trial.learned:
        return watch(
            f"{said}; a small fresh model learns from the same data in {found.trial.steps} steps "
            f"at a rate of {RATE}: this one's rate, wiring or encoding is at fault, not the data",
            *_at_rate(e, "the rate of the small model", lower=True),
        )
    if not knows_something(e):
        tried = (
            ""
            if found.trial is None
            else f"; no more has a small fresh model within {found.trial.steps} steps"
        )
        much = "little" if above_guess(e) else "nothing"
        return watch(
            f"it has learned {much}{tried}: {said}. Labels, rate, steps or the difficulty may be "
            "the cause, and no other is named",
            longer,
            *faster,
        )
    if at_bound(e):
        return watch(f"no better than without order: {said}", longer)
    return healthy(said) if above_guess(e) else watch(f"hardly better than a guess: {said}", longer)


def _at_rate(e: Examination, why: str, lower: bool = False) -> tuple[Remedy, ...]:
    """The small fresh model's rate, if the model was trained at a lower one, or at any other."""
    rate = e.rate
    helps = rate is None or rate < RATE or (lower and rate > RATE)
    return (Remedy(f"--model.optimizer.lr={RATE}", why),) if helps else ()


def _no_language(e: Examination, found: Language) -> Finding:
    """Of another package's model: does it know more of this text than how often tokens are?"""
    loss = found.by_length.get(e.length)
    if loss is None or found.guess is None:
        return not_judged(found.without.get("loss", "its loss was not measured"))
    said = (
        f"{loss.mean:.3g} nats a token on {', '.join(found.texts)}; one answer given always: "
        f"{found.guess:.3g}"
    )
    if found.n_tokens < ENOUGH:
        return not_judged(f"{said}; {found.n_tokens} tokens are too few to compare them")
    if loss.mean < found.guess:
        return healthy(said)
    return watch(
        f"{said}: it knows no more of this text than how often each token is, or less",
        Remedy("", "give it text of the kind and language that it was trained on"),
        Remedy("", "see that the tokenizer is the model's own, and that the weights are trained"),
    )


EVALUATION = Ailment(
    14,
    "evaluation is not training",
    "evaluated as it was trained",
    "The model is run otherwise than it was trained (positions, padding, mask, weights, numbers of "
    "tokens or classes), so that its score says nothing of what it has learned.",
    _evaluation,
)
LEAKS = Ailment(
    15,
    "reads what it must not",
    "reads only what it may",
    "A token sees the one that it is to predict, padding, or another document: the score is too "
    "good, or depends on the batch.",
    _leaks,
)
NOT_LEARNED = Ailment(
    16,
    "has not learned the task",
    "has learned from the data",
    "Steps, learning rate, labels or difficulty may be the cause as well as the encoding; what a "
    "model shows that has learned nothing says little of its parts.",
    _not_learned,
)
