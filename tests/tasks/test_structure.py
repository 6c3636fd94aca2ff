"""Tasks on hierarchies, grids and trees: golden samples, bounds and distributions."""

from itertools import product

import pytest
import torch

from lightning_posenc.positions.graph import shortest_paths
from lightning_posenc.tasks import IGNORE, generate
from lightning_posenc.tasks.structure import Dyck, GridLookup, GridReflection, TreeDistance
from tests.tasks.helpers import assert_follows, assert_shares, bag, best_accuracy, rows
from tests.tasks.solvers.structure import SOLVERS


@pytest.mark.parametrize(
    "name", [name for name, (task, _) in SOLVERS.items() if not isinstance(task, Dyck)]
)
def test_some_structure_fits_without_the_positions(name):
    task, solve = SOLVERS[name]
    sample = generate(task, 0, "train", torch.arange(200), 19)
    for tokens, targets in rows(sample):
        solve(task, tokens, targets)


GOLDEN = [
    pytest.param(  # after each pair the outer one is open, until it closes too
        Dyck(3, 3),
        14,
        "(0 (2 (0 0) (2 2) (0 0) (2 2) (2 2) 2) (2",
        "· · · 2) · 2) · 2) · 2) · 2) 0) ·",
        id="Dyck",
    ),
    pytest.param(  # width 3: 14 15 14 / 1 15 13 / 1 2 9 / 11 5
        GridLookup(),
        11,
        "14 15 14 1 15 13 1 2 9 11 5",
        "· · · · 14 15 · 1 15 · 1",
        id="GridLookup",
    ),
    pytest.param(
        GridReflection(),
        11,
        "14 15 14 1 15 13 1 2 9 11 5",
        "14 · 14 13 · 1 9 · 1 · ·",
        id="GridReflection",
    ),
    pytest.param(  # the path 0-6-2-3-1-4, and 5, which is marked, at 3
        TreeDistance(4), 7, "o o o o o x o", "4 2 2 1 3 0 3", id="TreeDistance"
    ),
]


@pytest.mark.parametrize(("task", "length", "line", "answers"), GOLDEN)
def test_golden_samples(task, length, line, answers):
    sample = generate(task, 0, "golden", torch.tensor([0]), length)
    shown = task.show(sample.tokens[0].tolist(), sample.targets[0].tolist())
    first, second = shown.split("\n")
    assert (first.split(), second.split()) == (line.split(), answers.split())
    if isinstance(task, GridLookup | GridReflection):
        assert sample.positions[0].tolist() == [[t // 3, t % 3] for t in range(11)]


@pytest.mark.parametrize(
    ("task", "axes"), [(GridLookup(), 2), (GridReflection(), 2), (TreeDistance(), 24)]
)
def test_axes_of_the_positions(task, axes):
    sample = generate(task, 0, "train", torch.arange(5), 24)
    assert sample.positions.shape == (5, 24, axes)


# What can be had without positions, by enumeration.


def dyck_words(k, m, length, stack=(), word=(), weight=1.0):
    """(weight, printed tokens) of each sequence that the automaton can make."""
    if len(word) == length:
        yield weight, word
        return
    opening = 1.0 if not stack else 0.0 if len(stack) == m else 0.5
    if opening:
        for i in range(k):
            yield from dyck_words(k, m, length, (*stack, i), (*word, f"({i}"), weight * opening / k)
    if opening < 1:
        closed = (*word, f"{stack[-1]})")
        yield from dyck_words(k, m, length, stack[:-1], closed, weight * (1 - opening))


def dyck_cases(k, m, length, tell_fate):
    for weight, word in dyck_words(k, m, length):
        stack, asked = [], []
        for t, token in enumerate(word):
            if token[0] == "(":
                stack.append((t, token[1:]))
            else:
                stack.pop()
                if stack:
                    asked.append((token, *stack[-1]))
        left_open = {t for t, _ in stack}
        for own, opened_at, answer in asked:
            fate = (opened_at in left_open) if tell_fate else None
            yield weight, (bag(word), own, fate), answer


@pytest.mark.parametrize(
    ("k", "m", "length"), [(2, 2, 3), (2, 2, 6), (2, 3, 7), (2, 3, 8), (3, 2, 5), (3, 3, 6)]
)
def test_bound_of_dyck(k, m, length):
    bound = Dyck(k, m).bag_of_tokens_bound(length)
    assert best_accuracy(dyck_cases(k, m, length, tell_fate=False)) <= bound + 1e-9
    # The bound is exact for who knows whether the bracket that is asked for gets closed.
    assert bound == pytest.approx(best_accuracy(dyck_cases(k, m, length, tell_fate=True)))


def grid_cases(n_symbols, length, widths, target):
    for width in widths:
        places = [divmod(t, width) for t in range(length)]
        for tokens in product(range(n_symbols), repeat=length):
            cells = dict(zip(places, tokens, strict=True))
            for place in places:
                if (answer := target(cells, width, *place)) is not None:
                    yield 1, (bag(tokens), cells[place]), answer


@pytest.mark.parametrize(("length", "widths"), [(4, [2]), (6, [2, 3, 4]), (9, [2, 3, 4, 5, 6])])
def test_bound_of_grid_lookup(length, widths):
    cases = grid_cases(2, length, widths, lambda cells, w, r, c: cells.get((r - 1, c - 1)))
    assert GridLookup(1, 1, 2).bag_of_tokens_bound(length) == pytest.approx(best_accuracy(cases))
    positions = generate(GridLookup(), 0, "a", torch.arange(500), length).positions
    assert (positions[..., 1].amax(dim=1) + 1).unique().tolist() == widths


@pytest.mark.parametrize(
    ("length", "widths"), [(4, [2, 3, 4]), (5, [2, 3, 4]), (9, [2, 3, 4, 5, 6])]
)
def test_bound_of_grid_reflection(length, widths):
    def target(cells, width, row, column):
        return None if 2 * column == width - 1 else cells.get((row, width - 1 - column))

    best = best_accuracy(grid_cases(2, length, widths, target))
    assert GridReflection(2).bag_of_tokens_bound(length) == pytest.approx(best)
    positions = generate(GridReflection(), 0, "a", torch.arange(500), length).positions
    assert (positions[..., 1].amax(dim=1) + 1).unique().tolist() == widths


def tree_cases(length, max_distance):
    for parents in product(*(range(node) for node in range(1, length))):
        adjacency = torch.zeros(1, length, length, dtype=torch.bool)
        for node, parent in enumerate(parents, start=1):
            adjacency[0, node, parent] = adjacency[0, parent, node] = True
        for mark, row in enumerate(shortest_paths(adjacency)[0].tolist()):
            for node, distance in enumerate(row):
                yield 1, node == mark, min(distance, max_distance)


@pytest.mark.parametrize("length", [3, 4, 6])
@pytest.mark.parametrize("max_distance", [2, 3, 9])
def test_bound_of_tree_distance(length, max_distance):
    bound = TreeDistance(max_distance).bag_of_tokens_bound(length)
    assert bound == pytest.approx(best_accuracy(tree_cases(length, max_distance)))


# Distributions.


def test_dyck_steps_follow_the_automaton():
    k, m = 3, 4
    task = Dyck(k, m)
    tokens = generate(task, 0, "a", torch.arange(20_000), 9).tokens
    opens = tokens >= k
    before = (2 * opens.long() - 1).cumsum(dim=1) - (2 * opens.long() - 1)
    for t in range(9):
        for depth in before[:, t].unique().tolist():
            at = opens[before[:, t] == depth, t].long()
            assert_follows(at, {0: [0, 1], m: [1, 0]}.get(depth, [1, 1]))
        assert_follows(tokens[opens[:, t], t] - k, [1] * k)


@pytest.mark.parametrize("task", [GridLookup(), GridReflection()])
def test_widths_are_uniform_and_not_to_be_guessed(task):
    positions = generate(task, 0, "a", torch.arange(13_000), 64).positions
    widths = positions[..., 1].amax(dim=1) + 1
    assert_follows(widths - 4, [1] * 13)  # half to twice the root of 64


@pytest.mark.parametrize("task", [GridLookup(), GridReflection()])
def test_one_who_knows_the_place_in_reading_order_alone_fails(task):
    # The best fixed source for each place, found in hindsight: how often it has the answer.
    n_symbols = task.vocab_size
    sample = generate(task, 0, "a", torch.arange(5000), 64)
    hits = total = 0.0
    for t in range(64):
        scored = sample.targets[:, t] != IGNORE
        if not scored.any():
            continue
        same = sample.tokens[scored] == sample.targets[scored, t, None]
        hits += float(same.double().mean(dim=0).max() * scored.sum())
        total += float(scored.sum())
    assert hits / total < 0.35 + 1 / n_symbols


def test_trees_are_those_that_grow_at_random_and_shuffled():
    # 4 nodes: 6 ways of growing, of which 2 make a star and 4 a path.
    positions = generate(TreeDistance(), 0, "a", torch.arange(24_000), 4).positions
    assert torch.equal(positions, shortest_paths(positions == 1))
    degrees = (positions == 1).sum(dim=2)
    star = degrees.amax(dim=1) == 3
    assert_follows(star.long(), [2, 1])
    assert_follows(degrees[star].argmax(dim=1), [1] * 4)
    # All 12 labelled paths are alike.
    _, counts = positions[~star].flatten(1).unique(dim=0, return_counts=True)
    assert_shares(counts, [1] * 12)


def test_graph_positions_are_shortest_paths_of_larger_trees():
    positions = generate(TreeDistance(), 0, "a", torch.arange(20), 40).positions
    assert torch.equal(positions, shortest_paths(positions == 1))
