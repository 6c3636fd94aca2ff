"""A run of one process goes on with two as it would have with one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.resume_ddp_script import losses

# Lightning's own, of a callable among the arguments of a module made without the command line.
pytestmark = pytest.mark.filterwarnings("ignore:Attribute 'optimizer' removed from hparams")


@pytest.mark.slow
def test_from_one_process_to_two(tmp_path: Path) -> None:
    whole = losses(tmp_path, devices=1)
    script = Path(__file__).with_name("resume_ddp_script.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(script.parents[1])}
    command = [sys.executable, str(script), str(tmp_path)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stderr
    rest = json.loads((tmp_path / "losses.json").read_text())
    assert len(whole) == 10
    assert rest == pytest.approx(whole[3:], abs=1e-5)
