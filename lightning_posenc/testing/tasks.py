"""How is a task judged? The promises of every one, held against anybody's class."""

from collections.abc import Callable, Iterator
from functools import partial

from lightning_posenc.checks import is_a
from lightning_posenc.tasks import Task
from lightning_posenc.testing import samples
from lightning_posenc.testing.check import Check, Promise, hold
from lightning_posenc.testing.samples import Solver

_LENGTHS = "call self.check_length(length) first in `sample` and `bag_of_tokens_bound`"
_PROMISES: dict[Callable[..., None], Promise] = {
    samples.shapes_and_types: Promise(
        "samples are int64 tensors of width(length) tokens",
        "return Sample(tokens (B, T), targets (B,) or (B, T)), T = self.width(length)",
    ),
    samples.every_token_and_every_class_occurs_and_no_other: Promise(
        "every token and class occurs, and no other",
        "set vocab_size and n_classes to what occurs, `symbols` to one for each token",
    ),
    samples.a_sample_depends_on_its_own_number_alone: Promise(
        "a sample is a pure function of seed, split and number",
        "draw from `draws` alone, the same number of times for every row",
    ),
    samples.survives_pickling: Promise(
        "it can be sent to another process", "keep no lambda and no generator as an attribute"
    ),
    samples.too_short_is_refused: Promise(
        "a length that cannot be made is refused in one line", _LENGTHS
    ),
    samples.bound_lies_between_chance_and_certainty: Promise(
        "the bound without order is an accuracy", "return at least 1 / n_classes, at most 1"
    ),
    samples.no_bag_of_tokens_beats_the_bound: Promise(
        "no predictor without positions beats the bound",
        "count what the multiset of tokens tells (and the token at the scored place, if there is "
        "one at every place): the bound is too low",
    ),
    samples.a_baseline_without_positions_reads_it: Promise(
        "a model without positions can be trained on it", "give positions as (B, T) or (B, T, A)"
    ),
}
_MIXED = Promise(
    "lengths may be mixed in a batch",
    "let `width` grow with the length, and every row of a sample have the same width",
)
_DIFFER = Promise(
    "other seeds, splits and numbers give other samples",
    "draw from `draws`; say repeats=True if there are few questions",
)
_SOLVED: dict[Callable[..., None], Promise] = {
    samples.answers_are_those_of_the_solver: Promise(
        "targets are the right answers", "print the sample by task.show: task or solver is wrong"
    ),
    samples.long_answers_are_those_of_the_solver: Promise(
        "targets are right at every length", "look for a number that overflows or a fixed width"
    ),
    samples.solver_notices_a_wrong_answer: Promise(
        "the solver can tell", "compare every scored target, and raise AssertionError"
    ),
}


def check_task(
    make: Task | type[Task], solver: Solver | None = None, *, repeats: bool = False
) -> None:
    """Hold a task against all that every task promises; it takes a second.

    Args:
        make: The class, if its arguments have defaults; else a task.
        solver: Tells wrong answers from right ones: then the targets are held against it.
        repeats: It makes so few different questions that fifty samples repeat some.

    Raises:
        AssertionError: Telling of every broken promise: what was promised, seen, and is to be done.
        ValueError: If it is no task.
    """
    hold(task_checks(make, solver, repeats=repeats))


def task_checks(
    make: Task | type[Task], solver: Solver | None = None, *, repeats: bool = False
) -> list[Check]:
    """Give the same one by one, for a test that is parametrised over them."""
    task = make() if isinstance(make, type) else make
    is_a("check_task", "make", task, Task)
    subject = type(task).__name__

    def checks() -> Iterator[Check]:
        for run, promise in _PROMISES.items():
            yield Check(subject, run.__name__, promise, partial(run, task))
        mixed = partial(samples.several_lengths_in_one_batch, task, solver)
        yield Check(subject, "several_lengths_in_one_batch", _MIXED, mixed)
        differ = partial(samples.seeds_splits_and_numbers_differ, task, repeats)
        yield Check(subject, "seeds_splits_and_numbers_differ", _DIFFER, differ)
        for run, promise in _SOLVED.items() if solver else ():
            yield Check(subject, run.__name__, promise, partial(run, task, solver))

    return list(checks())
