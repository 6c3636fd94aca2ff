"""The explorer: what it shows is what was attended; a page that needs nothing else, of any name."""

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_posenc.cli import main
from lightning_posenc.diagnose import exploring
from lightning_posenc.diagnose.exploring import explore
from lightning_posenc.diagnose.opening import Opened, opened
from lightning_posenc.diagnostics.observing.observe import observe
from lightning_posenc.model.kernels import attention_weights
from lightning_posenc.pages.explorer import explorer

MOST_BYTES = 8_000_000


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("explored") / "r"
    quick = ["--data.steps_per_epoch=2", "--trainer.max_epochs=1", "--data.eval_samples=32"]
    quick += ["--trainer.log_every_n_steps=1", f"--run_dir={run}", "--data.eval_lengths=[8,24,32]"]
    assert main(["fit", "--config", "quickstart", "--test_after_fit=false", *quick]) == 0
    return run


@pytest.fixture(scope="module")
def checkpoint(run: Path) -> Opened:
    return opened(run, "--explore")


def read(text: str) -> dict[str, Any]:
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    found: dict[str, Any] = json.loads(data)
    return found


def cells(at: dict[str, Any], layer: int) -> torch.Tensor:
    packed = base64.b64decode(at["maps"][str(layer)])
    steps = torch.frombuffer(bytearray(packed), dtype=torch.uint8)
    return (steps.float() / 255).square().view(-1, at["rows"], at["columns"])


def test_the_page_holds_the_models_attention(run: Path, checkpoint: Opened) -> None:
    assert main(["report", "--explore", str(run)]) == 0
    text = (run / "explorer.html").read_text("utf-8")
    assert len(text) < MOST_BYTES
    assert "//" not in re.sub(r"[A-Za-z0-9+/=]{200,}", "", text).replace("// ", "")
    assert not re.search(r"(src|href)=|@import|url\(", text)
    assert "explorer.html" in (run / "run.html").read_text("utf-8")
    found = read(text)
    assert [at["length"] for at in found["lengths"]] == [8, 24, 32]
    own = checkpoint.own
    at = found["lengths"][-1]
    assert at["layers"] == [0, 1]
    assert (at["rows"], at["each"], len(at["tokens"])) == (32, 1, 32)
    data = exploring.of_length(checkpoint.data, 32)
    with torch.no_grad(), observe(own.observed) as seen:
        own.outputs(data[0].first(exploring.N_SEQUENCES))
    for layer in (0, 1):
        weights = attention_weights(seen.attention[layer])
        assert (cells(at, layer) - weights[0]).abs().max() < 0.005
        shown = at["distances"][str(layer)]
        expected = weights.diagonal(-3, 2, 3).mean(dim=(0, 2))
        three = [head[at["most_distance"] + 3] for head in shown]
        assert three == pytest.approx(expected.tolist(), rel=1e-3)
    assert at["tokens"] == [str(i) for i in data[0].tokens[0].tolist()]
    assert set(at["depth"]["probe/mae"]) == {"0", "1", "2"}


def test_large_models_and_long_sequences_are_bounded(
    checkpoint: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exploring, "MOST_CELLS", 10)
    monkeypatch.setattr(exploring, "MOST_HEADS", 2)
    monkeypatch.setattr(exploring, "MOST_LAYERS", 1)
    monkeypatch.setattr(exploring, "MOST_LENGTHS", 2)
    found = explore(checkpoint)
    assert [at["length"] for at in found["lengths"]] == [8, 32]
    at = found["lengths"][-1]
    assert (at["each"], at["rows"], at["heads"], at["layers"]) == (4, 8, [0, 3], [0])
    rows = cells(at, 0).sum(dim=-1)
    assert (rows - 1).abs().max() < 0.05  # keys' weights still add up to 1
    with pytest.raises(ValueError, match=r"length 4096: .*LearnedAbsolute"):
        explore(checkpoint, [4096])  # the table has no such rows
    with pytest.raises(ValueError, match="length 1: the data has no such sequences"):
        explore(checkpoint, [1])


def test_the_last_cells_may_be_narrower() -> None:
    weights = torch.rand(2, 7, 7).softmax(dim=-1)
    made = exploring._pooled(weights, 3)
    assert made.shape == (2, 3, 3)
    assert made.sum(dim=-1) == pytest.approx(torch.ones(2, 3).numpy())
    assert made[1, 2, 0].item() == pytest.approx(weights[1, 6, :3].sum().item())


def test_padding_counts_nowhere() -> None:
    weights = torch.full((2, 1, 4, 4), 0.25)
    weights[1, :, :, 2:] = 9.0  # of padding
    weights[1, :, 2:] = 9.0
    (head,) = exploring._by_distance(weights, torch.tensor([4, 2]))
    assert head == [0.25] * 7
    (short,) = exploring._by_distance(weights[1:], torch.tensor([2]))
    assert short == [None, None, 0.25, 0.25, 0.25, None, None]


def test_a_strangers_words_are_data() -> None:
    evil = "</script><script>alert(1)</script>"
    found = {
        "name": evil, "encoding": evil, "steps": 1, "causal": False, "lengths": [],
        "refused": {1: evil}, "reads": True, "axis": evil, "titles": {evil: evil},
        "depth_axis": {evil: evil},
    }  # fmt: skip
    text = explorer(found)
    assert "alert(1)</script>" not in text
    assert text.count("<script") == 2
    assert read(text)["titles"] == {evil: evil}


def test_mistakes_of_exploring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        (["--explore", str(tmp_path / "no")], "no such file"),
        (["--explore", str(tmp_path)], "holds no checkpoint"),
        (["x", "--explore", "y"], "name RUNS, --diff A B or --explore"),
        (["--explore", "y", "--lengths", "a"], "--lengths"),
    ):
        assert main(["report", *arguments]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert len(error.splitlines()) == 1


@pytest.mark.slow
def test_the_script_runs_in_a_browser(run: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no browser")
    assert main(["report", "--explore", str(run), "--lengths", "8,32"]) == 0
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    page = (run / "explorer.html").absolute().as_uri()
    done = subprocess.run([*command, page], capture_output=True, text=True, timeout=60)
    assert re.search(r'<select id="length"><option value="0">8</option>', done.stdout)
    assert len(re.findall(r'aria-label="layer \d, head \d"', done.stdout)) == 8
    assert done.stdout.count('<figure class="chart">') == 5
    assert re.search(r"Layer 0, head 0, mean over queries: \d+\.\d % on itself", done.stdout)
