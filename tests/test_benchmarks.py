"""The benchmarks of speed run, on tiny sizes, and their figures can be true."""

import importlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from lightning_posenc import Dims
from lightning_posenc.catalogue import described

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Imports a benchmark as its own command does, and forgets it afterwards."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module
    for name in (
        "timing",
        "peers",
        "peer_models",
        "decoding",
        "scaling",
        "gpu",
        "stacked",
        "simple_baselines",
        "python_data",
    ):
        sys.modules.pop(name, None)


def run(*arguments: str) -> str:
    """What a benchmark prints."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", *arguments]
    done = subprocess.run(
        command, cwd=BENCHMARKS, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def peers(load: Any) -> ModuleType:
    return load("peers")


@pytest.fixture
def tiny(peers: ModuleType) -> Any:
    return peers.Sizes(64, 2, 2, 16, 2, 16)


def test_ratios_are_taken_within_rounds(load: Any) -> None:
    """Both become ten times slower in the last round: the ratio does not move."""
    found = load("timing").ratio([2.0, 2.0, 20.0], [1.0, 1.0, 10.0])
    assert found == (2.0, 2.0, 2.0)


def test_rounds_alternate_and_leave_out_the_first(load: Any) -> None:
    order: list[str] = []
    now = iter(range(100))
    steps = {name: lambda name=name: order.append(name) for name in "ab"}
    seconds = load("timing").rounds(steps, 2, lambda: float(next(now)))
    assert "".join(order) == "baabba"
    assert seconds == {"a": [1.0, 1.0], "b": [1.0, 1.0]}


@pytest.mark.filterwarnings("ignore")  # of the peers
def test_peers_are_of_the_same_size(peers: ModuleType, tiny: Any) -> None:
    for name, pair in peers.PAIRS.items():
        ours, peer = (peers.new(make, tiny) for make in (pair.ours, pair.peer))
        # BLOOM has a norm after its token embedding.
        extra = 2 * tiny.width if "BLOOM" in name else 0
        assert peers.n_parameters(peer) == peers.n_parameters(ours) + extra, name


@pytest.mark.filterwarnings("ignore")
def test_peers_learn_from_every_parameter(peers: ModuleType, tiny: Any) -> None:
    batch = peers.batches(tiny, 1)[0]
    for name, pair in peers.PAIRS.items():
        for make in (pair.ours, pair.peer):
            model = peers.new(make, tiny)
            model(batch).backward()
            assert all(p.grad is not None for p in model.parameters()), name


def test_the_raw_loop_computes_what_ours_does(peers: ModuleType, tiny: Any) -> None:
    ours = peers.new(peers.PAIRS["NoPE, raw loop"].ours, tiny)
    raw = peers.new(peers.Raw, tiny)
    with torch.no_grad():
        for to, block in zip(raw.blocks, ours.module.encoder.blocks, strict=True):
            to.qkv.load_state_dict(block.attention.qkv.state_dict())
            to.out.load_state_dict(block.attention.out.state_dict())
            to.up.load_state_dict(block.feed_forward.up.state_dict())
            to.down.load_state_dict(block.feed_forward.out.state_dict())
        raw.embedding.load_state_dict(ours.module.embedding.state_dict())
    batches = peers.batches(tiny, 3)
    steps = [peers.stepper(model, batches) for model in (ours, raw)]
    # AdamW's step is large whatever the loss is: what differs would show at once.
    for _ in batches:
        mine, plain = (step() for step in steps)
        torch.testing.assert_close(mine, plain, rtol=1e-4, atol=0)


@pytest.mark.filterwarnings("ignore")  # Lightning's advice to people
def test_a_trainer_is_timed_beside_the_raw_loop(peers: ModuleType, tiny: Any) -> None:
    row = peers.measure_in_trainer(tiny, 4)
    assert row["rounds"] == 4
    low, high = row["ours / peer"][1:]
    assert 0.5 < low <= high < 50


def test_the_page_of_peers_says_what_is_exceeded(peers: ModuleType) -> None:
    row = peers.row((5, 5), [0.2, 0.2], [0.1, 0.1], None, 1.03)
    assert "| 2.000 (2.000-2.000) | 1.03 exceeded |" in peers.page({"NoPE, raw loop": row})


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.slow
def test_decoding_is_timed_by_length_and_its_cache_weighed(load: Any, peers: ModuleType) -> None:
    decoding = load("decoding")
    sizes, lengths = peers.Sizes(32, 2, 2, 16, 1, 16), decoding.Lengths(4, 16)
    rows = {}
    for name in decoding.NAMES:
        said = {who: decode() for who, decode in decoding.decoders(name, sizes, lengths).items()}
        assert said["ours"].shape == said["peer"].shape == (1, 20)
        against = {"ms": [1.0, 1.2], "ratio": [0.83, 0.81, 0.84], "rounds": 2}
        found = decoding.by_length(name, sizes, lengths, 4)
        assert found["memory"] == 1
        rows[name] = {"decoding": {"4 + 16": against}, "by length": found}
    assert decoding.page(rows).count("0.830 (0.810-0.840) | 0.80 exceeded") == 3


@pytest.mark.slow
def test_memory_grows_with_the_length(load: Any) -> None:
    scaling = load("scaling")
    found = {str(n): scaling.in_a_process("one", "RoPE", n) for n in (1024, 4096)}
    assert 1.5 < found["4096"]["mb"] / found["1024"]["mb"] < 8
    assert found["4096"]["seconds"] > found["1024"]["seconds"]


@pytest.mark.slow
@pytest.mark.long
def test_memory_that_does_not_suffice_is_named(load: Any) -> None:
    scaling = load("scaling")
    assert scaling.in_a_process("one", "FoX", 8192, "--max_gb", 2) is None


def test_exponent(load: Any) -> None:
    exponent = load("scaling").exponent
    square = {str(n): {"mb": n * n / 1e4} for n in (256, 512, 1024, 4096)}
    assert exponent(square, 4096) == pytest.approx(2)
    assert exponent({**square, "1024": None, "4096": None}, 4096) is None


@pytest.mark.slow
@pytest.mark.long
def test_two_processes_train(load: Any) -> None:
    found = load("scaling").in_a_process("train", 2, "--smoke", "--steps", 5)
    assert 0 < found["seconds"] < 60


@pytest.mark.slow
def test_waiting_for_batches() -> None:
    printed = run("loader.py", "--steps", "5", "--rounds", "1", "--only", "quickstart")
    cells = next(line for line in printed.splitlines() if line.startswith("| quickstart")).split(
        "|"
    )
    wait, step = float(cells[2]), float(cells[3])
    assert 0 < wait < step


@pytest.mark.slow
def test_without_a_gpu_it_says_so_and_goes_on_where_it_was(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("the smoke mode is for machines without CUDA")
    out = tmp_path / "gpu.json"
    arguments = ["gpu.py", "--out", str(out), "--only", "NoPE", "LearnedGrid"]
    run(*arguments, "--lengths", "16")
    first = json.loads(out.read_text())["rows"]
    assert len(first) == 6
    assert all(row["ms"] > 0 and row["utilisation"] is None for row in first.values())
    run(*arguments, "--lengths", "16", "32")
    rows = json.loads(out.read_text())["rows"]
    assert len(rows) == 12
    assert {entry: rows[entry] for entry in first} == first
    assert "**Unmeasured.**" in out.with_suffix(".md").read_text()


def test_flops_are_those_of_a_gpt2(load: Any) -> None:
    """By PaLM's appendix B with half of the attention, 6 N + 6 L T D, and N = 124M."""
    gpu = load("gpu")
    with torch.device("meta"):
        model = gpu.Model(gpu.Sizes(), "NoPE", "sdpa", 1024)
    assert gpu.flops_a_token(model, gpu.Sizes(), 1024) == pytest.approx(
        6 * 123.7e6 + 6 * 12 * 1024 * 768, rel=0.01
    )


def test_what_does_not_fit_is_named_and_longer_ones_are_not_tried(
    load: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gpu = load("gpu")

    def measure(name: str, backend: str, length: int, *rest: Any) -> Any:
        assert length <= 32, "tried after a shorter one had failed"
        raise torch.OutOfMemoryError

    monkeypatch.setattr(gpu, "measure", measure)
    monkeypatch.setattr(gpu, "stacked_seeds", lambda *_: {"2": [1.0, 1.0, 1.0]})
    out = tmp_path / "gpu.json"
    arguments = ["gpu.py", "--only", "RoPE", "--backends", "sdpa", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", [*arguments, "--lengths", "32", "64", "128"])
    gpu.main()
    rows = json.loads(out.read_text())["rows"]
    assert [row["skipped"] for row in rows.values()] == [gpu.TOO_LARGE, *[gpu.AFTER_TOO_LARGE] * 2]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Lightning's advice to people
def test_seeds_as_one_are_timed_beside_one_by_one(load: Any) -> None:
    stacked = load("stacked")
    row = stacked.measure(stacked.CONFIGS["tiny"], 2, 2, 2, torch.device("cpu"))
    low, high = row["together / alone"][1:]
    assert 0.05 < low <= high < 20
    kept = {"about": {"date": "today"}, "command": "", "rows": {"tiny, 2": row}}
    assert "| tiny | 16 | 16 × 16 | 2 | " in stacked.page(kept)


def test_every_encoding_is_benchmarked_on_a_gpu(load: Any, monkeypatch: Any, tmp_path: Any) -> None:
    gpu = load("gpu")
    monkeypatch.setattr(gpu, "measure", lambda name, *rest: {"ms": 1.0, "entropy overhead": 0.0})
    monkeypatch.setattr(gpu, "stacked_seeds", lambda *_: {"2": [1.0, 1.0, 1.0]})
    out = tmp_path / "gpu.json"
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(out), "--lengths", "16"])
    gpu.main()
    names = {entry.split()[0] for entry in json.loads(out.read_text())["rows"]}
    assert names == {entry.name for entry in described.encodings(Dims(32, 4, 2))}


def test_the_index_names_every_benchmark() -> None:
    index = (BENCHMARKS / "README.md").read_text()
    scripts = {path.name for path in BENCHMARKS.glob("*.py")} - {"timing.py", "foreign_faults.py"}
    assert {name for name in scripts if f"`{name}`" not in index} == set()


# These write what they were asked for: a page that tests hold to the code, or rows one by one.
ALWAYS = {"encoding_errors.py", "encodings.py", "gpu.py", "timing.py", "foreign_faults.py"}
ALWAYS |= {"python_data.py", "pretrained_models.py", "extend_texts.py"}  # where they are told


def test_shipped_results_are_written_only_when_asked() -> None:
    """`kills.py --kills 3` replaced the figures of a hundred kills."""
    careless = {
        path.name
        for path in BENCHMARKS.glob("*.py")
        if any(word in (text := path.read_text("utf-8")) for word in ("RESULTS", "OUT", "results"))
        and ("write_text(" in text or "timing.write(" in text)
        and '"--write"' not in text
    }
    assert careless <= ALWAYS


def test_an_n_gram_is_a_distribution_and_follows_its_formula(
    load: Callable[[str], Any],
) -> None:
    """C6: Witten and Bell's interpolation, by hand for "abab" and two bytes."""
    model = load("simple_baselines").NGram(b"abab", 2)
    for before in (b"", b"a", b"zz", b"ba"):
        assert sum(model.probability(before, byte) for byte in range(256)) == pytest.approx(1)
    alone = (2 + 2 * (1 / 256)) / (4 + 2)  # of four bytes two are b, two kinds were seen
    assert model.probability(b"", ord("b")) == pytest.approx(alone)
    assert model.probability(b"a", ord("b")) == pytest.approx((2 + 1 * alone) / (2 + 1))
    assert model.bits_per_byte(b"ab") == pytest.approx(
        -(math.log2(alone) + math.log2((2 + alone) / 3)) / 2
    )


def test_simple_methods_on_the_configs_data(load: Callable[[str], Any], tmp_path: Path) -> None:
    """C6: what a config's model should pass is printed for every kind of data."""
    simple = load("simple_baselines")
    configs = ROOT / "configs"
    lines = [f"{word} film number {i % 7},{label}" for i in range(30)
             for word, label in (("good fine", "yes"), ("bad dull", "no"))]  # fmt: skip
    (tmp_path / "a.csv").write_text("\n".join(["text,label", *lines]))
    path = {"path": str(tmp_path / "a.csv")}
    found = simple.baselines(configs / "text_classification.yaml", path, 3)
    assert found["tf-idf + logistic regression, acc"] == 1
    assert found["tf-idf of characters + logistic regression, f1_macro"] == 1
    assert found["most frequent class, acc"] <= 0.7
    sentences = ["Ada B-PER\nsees O\nBob B-PER\n", "the O\nday O\nends O\n"] * 20
    (tmp_path / "a.conll").write_text("\n".join(sentences))
    path = {"path": str(tmp_path / "a.conll")}
    found = simple.baselines(configs / "tagging.yaml", path, 3)
    assert found["most frequent tag of the word, entity_f1"] == 1
    assert found["logistic regression, entity_f1"] == 1
    assert found["most frequent tag, entity_f1"] == 0
    assert found["most frequent tag, acc"] < 1
    assert found["most frequent tag, f1_macro"] < 0.5
    (tmp_path / "a.txt").write_text("to be or not to be. " * 50)
    found = simple.baselines(configs / "text_offline.yaml", {"path": str(tmp_path / "a.txt")}, 5)
    assert found["5-gram, bits_per_byte"] < found["1-gram, bits_per_byte"]


CODE = '''
import os
LIMIT = 3

class Reader:
    def read(self, path, *, size=LIMIT):
        """Read a file, if there is one."""
        with open(path, encoding="utf-8") as file:  # the file
            for line in file:
                print(f"{line}", é := self.count)
        return (path
                if os.sep in path else None)
'''


def test_what_names_are_in_a_function(load: Callable[[str], Any]) -> None:
    """C6: the tags that a tagging recipe learns, by hand."""
    (words,) = load("python_data").functions(CODE)
    assert " ".join(word for word, _ in words) == (
        'def read ( self , path , * , size = LIMIT ) : "" with open ( path , encoding = "" ) '
        'as file : for line in file : print ( "" , é := self . count ) '
        "return ( path if os . sep in path else None )"
    )
    kinds: dict[str, set[str]] = {}
    for word, kind in words:
        kinds.setdefault(kind, set()).add(word)
    assert kinds.pop("-") >= {"def", "read", '""', "None"}
    assert kinds == {
        "parameter": {"self", "path", "size"},
        "local": {"file", "line", "é"},
        "global": {"LIMIT", "os"},
        "builtin": {"open", "print"},
        "argument": {"encoding"},
        "attribute": {"count", "sep"},
    }


def test_lines_begin_with_their_keyword(load: Callable[[str], Any]) -> None:
    """C6: only that of a statement counts, not one in a text or on a line that goes on."""
    assert [*load("python_data").lines(CODE)] == [
        ("os", "import"),
        ("Reader:", "class"),
        ("read(self, path, *, size=LIMIT):", "def"),
        ('open(path, encoding="utf-8") as file:  # the file', "with"),
        ("line in file:", "for"),
        ("(path", "return"),
    ]


def test_held_out_code_does_not_occur_in_training(load: Callable[[str], Any]) -> None:
    data = load("python_data")
    names = [f"module_{n}.py" for n in range(100)]
    held_out = [name for name in names if data.is_held_out(name)]
    assert 3 < len(held_out) < 20
    samples = [(name, sample) for name in names for sample in (name, "the same everywhere")]
    found = data.split(samples)
    assert found["validation"] == held_out
    assert sorted(found["train"] + held_out) == sorted([*names, "the same everywhere"])
