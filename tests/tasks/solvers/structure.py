"""Solvers of the tasks on hierarchies, grids and trees.

Solvers of tasks whose tokens stand elsewhere than in a row take the positions as a fourth
argument. Without it they check what can be checked: that some grid, or some tree, fits.
"""

from lightning_posenc.tasks import IGNORE
from lightning_posenc.tasks.structure import Dyck, GridLookup, GridReflection, TreeDistance


def solve_dyck(task, tokens, targets):
    stack = []
    for token, target in zip(tokens, targets, strict=True):
        word = task.symbols[token]
        if word.startswith("("):
            stack.append(word[1:])
            assert target == IGNORE
        else:
            assert stack.pop() + ")" == word
            assert target == (task.symbols.index(stack[-1] + ")") if stack else IGNORE)
        assert len(stack) <= task.max_depth


def grids(length):
    """The positions of every grid that `length` cells can fill, by width."""
    for width in range(1, length + 1):
        yield [divmod(t, width) for t in range(length)]


def fits_a_grid(answers, tokens, targets, positions):
    """`answers(cells)` must be the targets, where cells maps (row, column) to the token."""
    if positions is None:
        candidates = list(grids(len(tokens)))
    else:
        candidates = [[tuple(place) for place in positions]]
        assert candidates[0] in list(grids(len(tokens)))
    found = []
    for places in candidates:
        cells = dict(zip(places, tokens, strict=True))
        found.append([answers(cells, place) for place in places])
    assert targets in found


def solve_grid_lookup(task, tokens, targets, positions=None):
    def answer(cells, place):
        return cells.get((place[0] - task.rows, place[1] - task.columns), IGNORE)

    fits_a_grid(answer, tokens, targets, positions)
    assert any(target != IGNORE for target in targets)


def solve_grid_reflection(task, tokens, targets, positions=None):
    def answer(cells, place):
        last = max(column for _, column in cells)
        mirrored = (place[0], last - place[1])
        return IGNORE if mirrored == place else cells.get(mirrored, IGNORE)

    fits_a_grid(answer, tokens, targets, positions)
    assert any(target != IGNORE for target in targets)


def solve_tree_distance(task, tokens, targets, positions=None):
    n = len(tokens)
    assert sorted(tokens) == [0] * (n - 1) + [1]
    mark = tokens.index(1)
    assert targets[mark] == 0
    # Who is at distance d has a neighbour at distance d - 1.
    assert set(targets) == set(range(max(targets) + 1))
    if positions is None:
        return
    neighbours = [[j for j in range(n) if positions[i][j] == 1] for i in range(n)]
    assert sum(map(len, neighbours)) == 2 * (n - 1)  # with all in reach: a tree
    for start in range(n):
        reached, edge, steps = {start: 0}, [start], 0
        while edge:
            steps += 1
            edge = [j for i in edge for j in neighbours[i] if j not in reached]
            reached.update(dict.fromkeys(edge, steps))
        assert positions[start] == [reached[j] for j in range(n)]
        assert targets[start] == min(reached[mark], task.max_distance)


SOLVERS = {
    "Dyck": (Dyck(), solve_dyck),
    "Dyck-2-2": (Dyck(2, 2), solve_dyck),
    "Dyck-deep": (Dyck(3, 12), solve_dyck),
    "GridLookup": (GridLookup(), solve_grid_lookup),
    "GridLookup-2-1": (GridLookup(2, 1, 3), solve_grid_lookup),
    "GridLookup-1-3": (GridLookup(1, 3, 2), solve_grid_lookup),
    "GridReflection": (GridReflection(), solve_grid_reflection),
    "GridReflection-2": (GridReflection(2), solve_grid_reflection),
    "TreeDistance": (TreeDistance(), solve_tree_distance),
    "TreeDistance-3": (TreeDistance(3), solve_tree_distance),
}
