"""Two real processes see, together, what one sees."""

import json
import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import torch

from lightning_posenc.tasks import Draws, Reverse, generate


@pytest.mark.slow
def test_two_processes_see_the_global_batches_of_one(tmp_path):
    script = Path(__file__).with_name("ddp_script.py")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(tmp_path)]
    run = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]

    merged = []
    for shares in zip(ranks[0]["train"], ranks[1]["train"], strict=True):
        merged.append(list(chain(*zip(*shares, strict=True))))
    lengths = Draws(0, "train/length", torch.arange(36)).integers(5, 9).tolist()
    expected = [
        generate(Reverse(), 0, "train", torch.tensor([i]), length).tokens[0].tolist()
        + [0] * (8 - length)
        for i, length in enumerate(lengths)
    ]
    assert merged == [expected[6 * n : 6 * n + 6] for n in range(6)]

    # 13 samples were asked for: the next even number is shared.
    fixed = generate(Reverse(), 0, "test", torch.arange(14), 8).tokens
    assert len(ranks[0]["test"]) == len(ranks[1]["test"])
    for rank in (0, 1):
        assert list(chain(*ranks[rank]["test"])) == fixed[rank::2].tolist()
        # No sample counts twice, so the reduced metric is that of one process.
        assert ranks[rank]["mean"] == pytest.approx(fixed.float().mean().item())
