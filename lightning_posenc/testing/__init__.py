"""How does a stranger prove a method? What each of a kind promises, as checks: encodings, mixers,
feed-forwards, inputs, samplers of positions, tasks.

In a test of your own package:

    import pytest
    from lightning_posenc.testing import encoding_checks
    from my_package.encodings import MyBias

    @pytest.mark.parametrize("check", encoding_checks(MyBias))
    def test_keeps_what_every_encoding_promises(check):
        check()

or, all at once and without pytest, `check_encoding(MyBias)`.
"""

from lightning_posenc.testing.case import Case
from lightning_posenc.testing.check import Check, Promise
from lightning_posenc.testing.encodings import check_encoding, encoding_checks
from lightning_posenc.testing.feed_forwards import check_feed_forward, feed_forward_checks
from lightning_posenc.testing.inputs import check_input, input_checks
from lightning_posenc.testing.mixers import check_mixer, mixer_checks
from lightning_posenc.testing.oracle import Given, Oracle, Result
from lightning_posenc.testing.samplers import check_sampler, sampler_checks
from lightning_posenc.testing.samples import Solver
from lightning_posenc.testing.tasks import check_task, task_checks

__all__ = [
    "Case",
    "Check",
    "Given",
    "Oracle",
    "Promise",
    "Result",
    "Solver",
    "check_encoding",
    "check_feed_forward",
    "check_input",
    "check_mixer",
    "check_sampler",
    "check_task",
    "encoding_checks",
    "feed_forward_checks",
    "input_checks",
    "mixer_checks",
    "sampler_checks",
    "task_checks",
]
