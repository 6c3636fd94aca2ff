"""How does a stranger prove a method? What each encoding, mixer and task promises, as checks.

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
from lightning_posenc.testing.mixers import check_mixer, mixer_checks
from lightning_posenc.testing.oracle import Given, Oracle, Result
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
    "check_mixer",
    "check_task",
    "encoding_checks",
    "mixer_checks",
    "task_checks",
]
