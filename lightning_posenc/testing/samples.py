"""What a task's samples must be: one function a promise.

Shapes: B sequences, T tokens.
"""

import pickle
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.catalogue.tasks import example_length
from lightning_posenc.data.synthetic import SyntheticData
from lightning_posenc.dims import Dims
from lightning_posenc.model import Encoder
from lightning_posenc.positional import NoPE
from lightning_posenc.tasks import IGNORE, DecoderTask, Mixture, Sample, Task, generate
from lightning_posenc.testing.check import expect, expect_refusal

Solver: TypeAlias = Callable[..., None]
"""Reads one printed sequence, `(task, tokens, targets)` as lists, with the places of its tokens
after them if the task has some; raises AssertionError where it disagrees. Plain Python that shares
no code with the task."""


def possible(task: Task, lengths: Iterable[int]) -> list[int]:
    """Those of the lengths that the task can make."""
    made = []
    for length in lengths:
        try:
            task.check_length(length)
        except ValueError:
            continue
        made.append(length)
    return made


def solve(task: Task, solver: Solver, n: int, length: int, split: str = "train") -> None:
    """Hold n samples of one length against the solver."""
    solve_sample(task, solver, generate(task, 0, split, torch.arange(n), length))


def solve_sample(task: Task, solver: Solver, sample: Sample) -> None:
    """Hold each row of a sample, without its padding, against the solver.

    Raises:
        AssertionError: Of the solver; or if padding is scored.
    """
    rows = zip(sample.tokens.tolist(), sample.targets.tolist(), strict=True)
    for i, (tokens, targets) in enumerate(rows):
        n = len(tokens) if sample.lengths is None else int(sample.lengths[i])
        if isinstance(targets, list):
            expect(set(targets[n:]) <= {IGNORE}, "padding that is scored")
            targets = targets[:n]
        rest = [] if sample.positions is None else [sample.positions[i, :n].tolist()]
        solver(task, tokens[:n], targets, *rest)


def rows_of(sample: Sample, which: Any) -> Sample:
    """Some of the sequences."""
    fields: list[Any] = [None if field is None else field[which] for field in sample]
    return Sample(*fields)


def answers_are_those_of_the_solver(task: Task, solver: Solver) -> None:
    """At the shortest lengths, some longer, and three long ones of other splits."""
    first = task.min_length
    for length in possible(task, [*range(first, first + 13), first + 19, first + 33]):
        solve(task, solver, 100, length)


def long_answers_are_those_of_the_solver(task: Task, solver: Solver) -> None:
    """At lengths that no model is trained on."""
    for length in possible(task, [64, 131, 300]):
        solve(task, solver, 1500 // length, length, "test")


def solver_notices_a_wrong_answer(task: Task, solver: Solver) -> None:
    """A target that is another class makes it disagree, the first that is scored and the last."""
    sample = generate(task, 0, "train", torch.arange(50), example_length(task, 20))
    scored = (sample.targets != IGNORE).view(50, -1)
    row = int(scored.any(1).nonzero()[0])
    for place in scored[row].nonzero()[[0, -1], 0].tolist():
        wrong = sample.targets[row : row + 1].clone()
        wrong.view(-1)[place] = (wrong.view(-1)[place] + 1) % task.n_classes
        alone = rows_of(sample, [row])
        solve_sample(task, solver, alone)
        try:
            solve_sample(task, solver, alone._replace(targets=wrong))
        except AssertionError:
            continue
        raise AssertionError(f"a solver content with {wrong.tolist()} for {alone.targets.tolist()}")


def shapes_and_types(task: Task) -> None:
    """Of all fields, at the shortest and at other lengths."""
    for length in possible(task, [task.min_length, task.min_length + 1, 4, 11, 12, 24]):
        sample = generate(task, 0, "train", torch.arange(5), length)
        width = task.width(length)
        shape = tuple(sample.tokens.shape)
        expect(shape == (5, width), f"tokens {shape} of 5 samples of width({length}) = {width}")
        shape = tuple(sample.targets.shape)
        expect(
            shape == ((5,) if task.kind == "sequence" else (5, width)),
            f"targets {shape} of 5 samples of a {task.kind} task, width {width}",
        )
        for name, field in sample._asdict().items():
            expect(field is None or field.dtype == torch.int64, f"{name} in another dtype")
        for name, low, high in (("focus", 0, width - 1), ("lengths", 1, width)):
            field = getattr(sample, name)
            if field is not None:
                expect(field.shape == (5,), f"{name} of shape {tuple(field.shape)}, not (5,)")
                inside = low <= field.min() <= field.max() <= high
                expect(inside, f"{name} beyond {low}..{high}: {field.tolist()}")
        if sample.positions is not None:
            shape = tuple(sample.positions.shape)
            expect(shape[:2] == (5, width), f"positions {shape} of 5 sequences of {width}")


def every_token_and_every_class_occurs_and_no_other(task: Task) -> None:
    """In some thousand samples of all lengths."""
    # 24 shows no place beyond 99 and few long paths in trees: hence 100.
    sizes = [(length, 1000) for length in possible(task, [4, 13, 14, 24])]
    sizes += [(length, 300) for length in possible(task, [100])]
    samples = [generate(task, 0, "train", torch.arange(n), length) for length, n in sizes]
    expect(bool(samples), "none of the lengths 4, 13, 14, 24 and 100 can be made")
    tokens = set(torch.cat([sample.tokens.flatten().unique() for sample in samples]).tolist())
    wanted = set(range(task.vocab_size))
    expect(tokens == wanted, f"of vocab_size={task.vocab_size}: {_difference(tokens, wanted)}")
    classes = set(torch.cat([sample.targets.flatten().unique() for sample in samples]).tolist())
    wanted = set(range(task.n_classes))
    if isinstance(task, DecoderTask):  # some tokens stand in prompts alone
        wanted &= classes
    classes -= {IGNORE}
    expect(classes == wanted, f"of n_classes={task.n_classes}: {_difference(classes, wanted)}")
    if task.symbols is not None:
        n = len(set(task.symbols))
        right = n == len(task.symbols) == task.vocab_size
        expect(right, f"{n} different symbols for {task.vocab_size} tokens")


def _difference(seen: set[int], wanted: set[int]) -> str:
    never, strange = sorted(wanted - seen)[:5], sorted(seen - wanted)[:5]
    return f"never seen {never}, not among them {strange}"


def expect_same_samples(sample: Sample, other: Sample, what: str) -> None:
    """They have the same fields with the same values.

    Raises:
        AssertionError: Naming the first field that differs.
    """
    for name, field, its in zip(sample._fields, sample, other, strict=True):
        same = field is its if field is None or its is None else torch.equal(field, its)
        expect(same, f"{what}: other {name}")


def a_sample_depends_on_its_own_number_alone(task: Task) -> None:
    """Whatever else is drawn beside it, and in whatever order."""
    index = torch.tensor([3, 14, 15, 2**33, 9])
    order = torch.tensor([4, 0, 2, 3, 1])
    for length in possible(task, [task.min_length, 10, 41]):
        whole = generate(task, 7, "val", index, length)
        reordered = generate(task, 7, "val", index[order], length)
        expect_same_samples(
            reordered, rows_of(whole, order), f"length {length}, numbers in another order"
        )
        for i in range(len(index)):
            alone = generate(task, 7, "val", index[i, None], length)
            expect_same_samples(alone, rows_of(whole, [i]), f"length {length}, a number alone")


def survives_pickling(task: Task) -> None:
    """As it goes to the workers of a loader."""
    index, length = torch.arange(5), example_length(task, 9)
    copy = generate(pickle.loads(pickle.dumps(task)), 0, "a", index, length)
    expect_same_samples(copy, generate(task, 0, "a", index, length), "of a pickled copy")


def seeds_splits_and_numbers_differ(task: Task, repeats: bool) -> None:
    """Another seed, another split and another number are another sample."""
    index, length = torch.arange(50), example_length(task, 24)

    def shown(seed: int, split: str) -> Tensor:
        sample = generate(task, seed, split, index, length)
        return torch.cat([sample.tokens, sample.targets.view(50, -1)], dim=1)

    expect(not torch.equal(shown(0, "train"), shown(1, "train")), "the same samples of two seeds")
    expect(not torch.equal(shown(0, "train"), shown(0, "val")), "the same samples in two splits")
    different = len(shown(0, "train").unique(dim=0))
    expect(different > 1 if repeats else different == 50, f"{different} different samples of 50")


def several_lengths_in_one_batch(task: Task, solver: Solver | None = None) -> None:
    """Batches of mixed lengths are padded; distances between tokens, which cannot be, are
    refused.
    """
    low = task.min_length
    high = low
    while high < low + 11 and possible(task, [high + 1]):
        high += 1
    data = SyntheticData(task, train_length=[low, high], batch_size=64)
    probe = generate(task, 0, "train", torch.arange(2), high)
    if probe.positions is not None and probe.positions.shape[2:] == (task.width(high),):
        relative = f"{type(task).__name__} places tokens relative to each other"
        expect_refusal(lambda: next(iter(data.train_dataloader())), relative)
        return
    batch = next(iter(data.train_dataloader()))
    shape = tuple(batch.tokens.shape)
    expect(shape == (64, task.width(high)), f"tokens of shape {shape}")
    wanted = (64,) if task.kind == "sequence" else shape
    expect(batch.targets.shape == wanted, f"targets of shape {tuple(batch.targets.shape)}")
    if batch.lengths is None:
        raise AssertionError("a batch of several lengths without `lengths`")
    n = len(batch.lengths.unique())
    expect(n > min(3, high - low), f"{n} lengths of {low}..{high}")
    if solver is not None:
        fields = {"lengths": batch.lengths, "positions": batch.positions}
        solve_sample(task, solver, Sample(batch.tokens, batch.targets, **fields))


def too_short_is_refused(task: Task) -> None:
    """By `check_length`, `sample` and `bag_of_tokens_bound`: a line that names the shortest."""
    short = task.min_length - 1
    said = [f" length {short}: ", f"at least {task.min_length}"]
    if not isinstance(task, Mixture):  # where one of its tasks speaks
        said.append(f"{type(task).__name__} cannot make ")
    for refused in (
        lambda: task.check_length(short),
        lambda: generate(task, 0, "train", torch.arange(2), short),
        lambda: task.bag_of_tokens_bound(short),
    ):
        line = expect_refusal(refused, *said)
        expect(line.endswith(said[1]), f"a line that goes on after the remedy: {line}")


def bound_lies_between_chance_and_certainty(task: Task) -> None:
    """At every length."""
    for length in possible(task, [task.min_length, 5, 16, 40]):
        bound = task.bag_of_tokens_bound(length)
        inside = 1 / task.n_classes - 1e-12 <= bound <= 1
        expect(inside, f"{bound} at length {length}, of {task.n_classes} classes")


def no_bag_of_tokens_beats_the_bound(task: Task) -> None:
    """Who knows the likeliest answer to each bag of tokens in a thousand samples says no more of a
    second thousand right than the bound allows.
    """
    for length in possible(task, range(task.min_length, task.min_length + 6))[:2]:
        sample = generate(task, 0, "train", torch.arange(2000), length)
        answers: dict[Hashable, Counter[int]] = defaultdict(Counter)
        asked = right = 0
        for i, (seen, answer) in enumerate(_questions(sample)):
            if i < 1000:
                for each, target in zip(seen, answer, strict=True):
                    answers[each][target] += 1
            else:
                asked += len(seen)
                right += sum(
                    target == answers[each].most_common(1)[0][0]
                    for each, target in zip(seen, answer, strict=True)
                    if each in answers
                )
        bound = task.bag_of_tokens_bound(length)
        # Five standard errors of a thousand answers, those of one sample taken for one.
        expect(
            right <= (bound + 5 * 0.5 / 1000**0.5) * asked,
            f"{right / max(asked, 1):.3f} right without order at length {length}, where the bound "
            f"is {bound:.3f}",
        )


def _questions(sample: Sample) -> Iterator[tuple[list[Hashable], list[int]]]:
    """What a predictor without positions sees, and the answers: for each sample, lists of both."""
    for i, (tokens, targets) in enumerate(
        zip(sample.tokens.tolist(), sample.targets.tolist(), strict=True)
    ):
        n = len(tokens) if sample.lengths is None else int(sample.lengths[i])
        bag = tuple(sorted(tokens[:n]))
        if isinstance(targets, int):
            scored: list[tuple[Hashable, int]] = [(bag, targets)]
        else:
            scored = [
                ((bag, token), target)
                for token, target in zip(tokens[:n], targets[:n], strict=True)
                if target != IGNORE
            ]
        yield [seen for seen, _ in scored], [target for _, target in scored]


def a_baseline_without_positions_reads_it(task: Task) -> None:
    """NoPE takes its places, whatever they look like (F11)."""
    made = generate(task, 0, "train", torch.arange(2), example_length(task, 12))
    x = F.one_hot(made.tokens, max(task.vocab_size, 8))[..., :8].float()
    encoded = Encoder(Dims(8, 1, 1), NoPE)(x, lengths=made.lengths, positions=made.positions)
    expect(encoded.isfinite().all(), "outputs that are not finite")
