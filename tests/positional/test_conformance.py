"""Every encoding of ours keeps what `lightning_posenc.testing` asks of anybody's.

One case of each class, scaling and sampler is held to all of it, the others to their oracles.
"""

from collections.abc import Iterator

import pytest

from lightning_posenc.testing import Check
from lightning_posenc.testing.encodings import model_checks, oracle_checks
from tests.cases import CASES, METHODS, Case
from tests.helpers import dims, varies

ONE_OF_EACH_CLASS = list(
    {type(case.factory(dims(True))): case for case in reversed(CASES)}.values()
)


def held(case: Case) -> Iterator[Check]:
    """The checks that a case goes through."""
    for check in model_checks(case):
        if check.name.startswith("refusal"):
            yield check
        elif check.name.startswith("compiled"):  # takes seconds
            if case in ONE_OF_EACH_CLASS:
                yield check
        elif case in METHODS:
            yield check
    yield from oracle_checks(case)


COMPILED = {"learned", "rope"}  # those of all others: tests/test_transformed.py, to one graph
EITHER_WAY = {  # what is not about who sees whom: by default in a causal model only
    "bfloat16_autocast_is_near_float32",
    "bfloat16_model_keeps_positions_apart",
    "checkpointed_activations_change_nothing",
    "grouped_heads_equal_repeated_heads",
    "independent_of_the_rest_of_the_batch",
    "pickle_and_deepcopy",
    "state_dict_round_trip",
}


def marks(case: Case, check: Check) -> list[pytest.MarkDecorator]:
    if check.name.startswith("compiled") and case.name not in COMPILED:
        return [pytest.mark.long]
    promise, _, way = check.name.partition("-")
    if promise in EITHER_WAY and way == "bidirectional":
        return [pytest.mark.slow]
    if promise == "hooks_equal_oracle":
        # Of an option, an encoding that sees the future is held at one layout, the general one.
        return varies(case) if way.endswith("bidirectional") and "gapped" not in way else []
    return varies(case) if promise.startswith("gradients_reach_what") else []


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{case.name}-{check.name}", marks=marks(case, check))
        for case in CASES
        for check in held(case)
    ],
)
def test_every_promise_is_kept(check: Check) -> None:
    check()
