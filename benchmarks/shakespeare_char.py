"""nanoGPT's CPU recipe on Shakespeare's characters: validation loss, and time against a plain loop.

    python benchmarks/shakespeare_char.py tinyshakespeare.txt --write

The fit command and an equivalent hand-written loop (same model, random blocks, AdamW, clipping,
no evaluation until the end) run in turn as whole processes, start-up included. With --nanogpt and a
clone of it nanoGPT's own train.py does as well, which evaluates 40 batches of 12 before its first
step and after its last; and fit once more, which evaluates on no fewer tokens, twice, and
does not test. Then the other encodings. With --write it writes results/shakespeare_char.{md,json}.
"""

import argparse
import itertools
import json
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
ITERATIONS, BLOCK, BATCH = 2000, 64, 12
FIT, FIT_LESS = "fit LearnedAbsolute", "fit LearnedAbsolute, evaluation as nanoGPT's"
LESS = ["--trainer.limit_val_batches=8", "--test_after_fit=false"]  # of 64 blocks


def plain(path: Path, seed: int) -> None:
    """The loop that a person would write, printing its validation loss."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    from lightning_posenc.data import Batch
    from lightning_posenc.model import MLP, Attention, EncoderSpec
    from lightning_posenc.modules import LanguageModel, WarmupCosine, parameter_groups
    from lightning_posenc.positional import LearnedAbsolute

    torch.manual_seed(seed)
    text = path.read_text("utf-8")
    ids = {character: i for i, character in enumerate(sorted(set(text)))}
    data = torch.tensor([ids[character] for character in text])
    train, val = data[: int(0.9 * len(data))], data[int(0.9 * len(data)) :]
    spec = EncoderSpec(
        128,
        4,
        4,
        embed_std=0.02,
        mixer=partial(Attention, bias=False),
        norm=lambda d: nn.LayerNorm(d, bias=False),
        feed_forward=partial(MLP, bias=False),
    )
    model = LanguageModel(spec, len(ids), positional=LearnedAbsolute)
    groups = parameter_groups(model, model.positional, 0.0)
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1, fused=True)
    schedule = WarmupCosine(optimizer, ITERATIONS)

    def loss_of(source: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        rows = source[starts[:, None] + torch.arange(BLOCK + 1)]
        batch = Batch(rows[:, :-1], rows[:, 1:])
        return F.cross_entropy(model.logits(batch).flatten(0, 1), batch.targets.flatten())

    stamps = []
    for _ in range(ITERATIONS):
        loss = loss_of(train, torch.randint(len(train) - BLOCK, (BATCH,)))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        stamps.append(time.perf_counter())
    model.eval()
    starts = torch.arange(0, len(val) - BLOCK, BLOCK)
    with torch.no_grad():
        losses = [loss_of(val, part) * len(part) for part in starts.split(64)]
    steps = [after - before for before, after in itertools.pairwise(stamps)]
    print(json.dumps({"loss": float(sum(losses)) / len(starts), "step": statistics.median(steps)}))


def run_plain(path: Path, seed: int) -> dict[str, float]:
    start = time.perf_counter()
    command = [sys.executable, __file__, str(path), "--plain", str(seed)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {**json.loads(done.stdout), "seconds": time.perf_counter() - start}


def run_fit(path: Path, seed: int, encoding: str, *more: str) -> dict[str, float]:
    with TemporaryDirectory() as directory:
        start = time.perf_counter()
        command = [sys.executable, "-m", "lightning_posenc", "fit"]
        command += ["--config", str(ROOT / "configs" / "shakespeare_char.yaml")]
        command += [f"--data.path={path}", f"--model.positional={encoding}"]
        command += [
            f"--seed_everything={seed}",
            f"--run_dir={directory}/run",
            *more,
        ]
        subprocess.run(command, check=True, capture_output=True)
        seconds = time.perf_counter() - start
        summary = json.loads(Path(directory, "run", "summary.json").read_text())
    return {"loss": summary["metrics"]["val/loss"], "seconds": seconds}


def run_nanogpt(path: Path, seed: int, clone: Path) -> dict[str, float]:
    """NanoGPT's train.py, by the command of its README for a CPU."""
    with TemporaryDirectory() as directory:
        place = Path(directory, "nanoGPT")
        shutil.copytree(clone, place)
        data = place / "data" / "shakespeare_char"
        shutil.copy(path, data / "input.txt")
        subprocess.run([sys.executable, "prepare.py"], cwd=data, check=True, capture_output=True)
        source = (place / "train.py").read_text("utf-8").replace("1337", str(1337 + seed))
        (place / "train.py").write_text(source, "utf-8")
        start = time.perf_counter()
        command = [sys.executable, "train.py", "config/train_shakespeare_char.py"]
        command += ["--device=cpu", "--compile=False", "--eval_iters=20", "--log_interval=100"]
        command += [f"--block_size={BLOCK}", f"--batch_size={BATCH}", "--n_layer=4", "--n_head=4"]
        command += ["--n_embd=128", f"--max_iters={ITERATIONS}", f"--lr_decay_iters={ITERATIONS}"]
        command += ["--dropout=0.0", f"--eval_interval={ITERATIONS}"]
        done = subprocess.run(command, cwd=place, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - start
    losses = re.findall(r"val loss ([\d.]+)", done.stdout)
    return {"loss": float(losses[-1]), "seconds": seconds}


def against(found: dict[str, list[dict[str, float]]]) -> str:
    """A sentence of ratios of seconds, and their median, for each pair."""
    said = []
    for ours, theirs in ((FIT, "plain loop"), (FIT, "nanoGPT"), (FIT_LESS, "nanoGPT")):
        pairs = list(zip(found.get(ours, []), found.get(theirs, []), strict=False))
        if ratios := [one["seconds"] / other["seconds"] for one, other in pairs]:
            each = ", ".join(f"{ratio:.3f}" for ratio in ratios)
            median = statistics.median(ratios)
            said.append(f"{ours} over {theirs}: {each}; median {median:.3f}.")
    return " ".join(said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path, help="tinyshakespeare.txt")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--encodings", nargs="*", default=["RoPE", "ALiBi"], help="also these")
    parser.add_argument("--nanogpt", type=Path, metavar="CLONE", help="nanoGPT's own, beside them")
    parser.add_argument("--write", action="store_true", help="keep results/shakespeare_char.md")
    parser.add_argument("--plain", type=int, default=None, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.plain is not None:
        plain(args.text, args.plain)
        return
    found: dict[str, list[dict[str, float]]] = {}

    def keep(name: str, result: dict[str, float]) -> None:
        found.setdefault(name, []).append(result)
        print(name, result, flush=True)
        if args.write:
            (RESULTS / "shakespeare_char.json").write_text(json.dumps(found, indent=1) + "\n")

    for seed in range(args.seeds):
        keep(FIT, run_fit(args.text, seed, "LearnedAbsolute"))
        keep("plain loop", run_plain(args.text, seed))
        if args.nanogpt is not None:
            keep("nanoGPT", run_nanogpt(args.text, seed, args.nanogpt))
            keep(FIT_LESS, run_fit(args.text, seed, "LearnedAbsolute", *LESS))
    for encoding in args.encodings:
        keep(f"fit {encoding}", run_fit(args.text, 0, encoding))
    rows = ["| run | validation loss, by seed | mean | seconds, median |", "|---|---|---|---|"]
    for name, runs in found.items():
        losses = [run["loss"] for run in runs]
        seconds = statistics.median(run["seconds"] for run in runs)
        each = ", ".join(f"{loss:.4f}" for loss in losses)
        rows.append(f"| {name} | {each} | {statistics.mean(losses):.4f} | {seconds:.1f} |")
    beside = "" if args.encodings else "--encodings "
    beside += "--nanogpt CLONE " if "nanoGPT" in found else ""
    text = (
        "# Shakespeare's characters by nanoGPT's CPU recipe\n\n"
        f"`python benchmarks/shakespeare_char.py tinyshakespeare.txt --seeds {args.seeds} "
        f"{beside}--write`, {time.strftime('%Y-%m-%d')}, {platform.machine()}, 2 threads, Python "
        f"{platform.python_version()}. Published by nanoGPT for this recipe: 1.88.\n\n"
        + "\n".join(rows)
        + "\n\nWhole processes, start-up included; fit also validates twice on the whole "
        "validation text, tests, and draws its figures. Where it evaluates as nanoGPT's train.py "
        f"does, no fewer tokens are taken, and no test. Seconds, seed by seed: {against(found)}\n"
    )
    if args.write:
        (RESULTS / "shakespeare_char.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
