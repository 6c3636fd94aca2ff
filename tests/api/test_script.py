"""A plain script, in a folder of its own, is enough to sweep."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
from lightning_posenc import api

words = ["${env}", "${interpreter}", "-m", "${program}", "fit", "--config=quickstart"]
words += ["--data.steps_per_epoch=2", "--trainer.max_epochs=1", "--data.eval_samples=16"]
done = api.sweep({
    "program": "lightning_posenc",
    "command": [*words, "${args}"],
    "method": "grid",
    "metric": {"name": "val/acc", "goal": "maximize"},
    "parameters": {"model.positional": {"values": ["RoPE", "NoPE"]}},
})
print("ENDED", *done.table.status)
"""


@pytest.mark.slow
def test_it_needs_no_guard_and_finds_configs_by_name(tmp_path: Path) -> None:
    """Each process would import the script anew, and begin the sweep again."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ENDED complete complete") == 1
