"""nanoGPT's CPU recipe on Shakespeare's characters: validation loss, and time against a plain loop.

    python benchmarks/shakespeare_char.py tinyshakespeare.txt --write

The fit command and an equivalent hand-written loop (same model, random blocks, AdamW, clipping,
no evaluation until the end) run in turn as whole processes, start-up included; then the other
encodings. With --write it writes results/shakespeare_char.{md,json}.
"""

import argparse
import itertools
import json
import platform
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


def run_fit(path: Path, seed: int, encoding: str) -> dict[str, float]:
    with TemporaryDirectory() as directory:
        start = time.perf_counter()
        command = [sys.executable, "-m", "lightning_posenc", "fit"]
        command += ["--config", str(ROOT / "configs" / "shakespeare_char.yaml")]
        command += [f"--data.path={path}", f"--model.positional={encoding}"]
        command += [
            f"--seed_everything={seed}",
            f"--run_dir={directory}/run",
        ]
        subprocess.run(command, check=True, capture_output=True)
        seconds = time.perf_counter() - start
        summary = json.loads(Path(directory, "run", "summary.json").read_text())
    return {"loss": summary["metrics"]["val/loss"], "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path, help="tinyshakespeare.txt")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--encodings", nargs="*", default=["RoPE", "ALiBi"], help="also these")
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
        keep("fit LearnedAbsolute", run_fit(args.text, seed, "LearnedAbsolute"))
        keep("plain loop", run_plain(args.text, seed))
    for encoding in args.encodings:
        keep(f"fit {encoding}", run_fit(args.text, 0, encoding))
    rows = ["| run | validation loss, by seed | mean | seconds, median |", "|---|---|---|---|"]
    for name, runs in found.items():
        losses = [run["loss"] for run in runs]
        seconds = statistics.median(run["seconds"] for run in runs)
        each = ", ".join(f"{loss:.4f}" for loss in losses)
        rows.append(f"| {name} | {each} | {statistics.mean(losses):.4f} | {seconds:.1f} |")
    pairs = zip(found["fit LearnedAbsolute"], found["plain loop"], strict=True)
    ratios = [ours["seconds"] / theirs["seconds"] for ours, theirs in pairs]
    text = (
        "# Shakespeare's characters by nanoGPT's CPU recipe\n\n"
        f"`python benchmarks/shakespeare_char.py tinyshakespeare.txt --seeds {args.seeds} "
        f"--write`, {time.strftime('%Y-%m-%d')}, {platform.machine()}, 2 threads, Python "
        f"{platform.python_version()}. Published by nanoGPT for this recipe: 1.88.\n\n"
        + "\n".join(rows)
        + "\n\nWhole processes, start-up included; fit also validates twice on the whole "
        "validation text, tests, and draws its figures. Seconds of fit over those of the plain "
        f"loop, pair by pair: {', '.join(f'{ratio:.3f}' for ratio in ratios)}; median "
        f"{statistics.median(ratios):.3f}.\n"
    )
    if args.write:
        (RESULTS / "shakespeare_char.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
