"""What every test starts from: one thread, one seed, few and repeatable hypothesis examples."""

import logging

import pytest
import torch
from hypothesis import settings

# The models are tiny: more threads only get in each other's way, above all under pytest-xdist.
torch.set_num_threads(1)

# Lightning's log handler keeps the captured stderr of the test that first imported it.
logging.raiseExceptions = False

settings.register_profile("few", max_examples=8, deadline=None, derandomize=True, database=None)
settings.load_profile("few")


@pytest.fixture(autouse=True)
def seed() -> None:
    """Start torch's global generator anew, so that no test depends on those before it."""
    torch.manual_seed(0)
