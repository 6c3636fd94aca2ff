"""What every test starts from: one thread, one seed, few and repeatable hypothesis examples.

And what ten thousand tests would each pay for: garbage, logs.
"""

import gc
import logging
import signal
from collections.abc import Generator

import pytest
import torch
from hypothesis import settings

# The models are tiny: more threads only get in each other's way, above all under pytest-xdist.
torch.set_num_threads(1)

# A shell that starts the tests in the background has them, and all that they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Lightning's log handler keeps the captured stderr of the test that first imported it.
logging.raiseExceptions = False

settings.register_profile("few", max_examples=5, deadline=None, derandomize=True, database=None)
settings.register_profile(
    "many", settings.get_profile("few"), max_examples=50
)  # --hypothesis-profile=many
settings.load_profile("few")


class Kept(logging.Handler):
    """Keeps what a test logs.

    pytest's own plugin looks through all loggers six times a test: half of the time of a short one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        record.getMessage()  # one that cannot be written fails its test
        self.records.append(record)


KEPT = Kept()
logging.getLogger().addHandler(KEPT)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Import and collect without a look for garbage, and later pass over all that is there.

    Nothing of a million objects of modules and tests can go; looking through them took a quarter of
    the time until the first test, and a second of each `gc.collect()` in one.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what a test logged where it failed."""
    report = yield
    if report.failed and KEPT.records:
        report.sections.append(("Captured log", "\n".join(map(KEPT.format, KEPT.records))))
    return report


@pytest.fixture(autouse=True)
def seed() -> None:
    """Start torch's global generators anew, and the log, so that no test depends on those before.

    `torch.manual_seed` writes the call stack down for each kind of device that is not there.
    """
    KEPT.records.clear()
    if torch.cuda.is_available():
        torch.manual_seed(0)
    else:
        torch.default_generator.manual_seed(0)


@pytest.fixture
def logged() -> list[logging.LogRecord]:
    """What the test has logged so far, from the level of each logger on."""
    return KEPT.records
