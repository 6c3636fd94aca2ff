"""Every block of options of docs/recipes.md trains."""

import re
from pathlib import Path

import pytest

from lightning_posenc.cli import main

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "recipes.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(--.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FAST = ["--trainer.fast_dev_run=2", "--trainer.accelerator=cpu", "--data.batch_size=4"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:You're using the WeightAveraging callback")  # of sharding
@pytest.mark.parametrize(("config", "block"), BLOCKS)
def test_a_block_trains(
    config: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "pytorch_optimizer" in block:
        pytest.importorskip("pytorch_optimizer")
    monkeypatch.chdir(tmp_path)
    options = block.splitlines()
    path = ROOT / "configs" / f"{config or 'quickstart'}.yaml"
    assert main(["fit", f"--config={path}", *FAST, *options]) == 0


def test_there_are_blocks() -> None:
    assert len(BLOCKS) > 10


@pytest.mark.slow
def test_blocks_of_python_run() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        exec(block, {})
