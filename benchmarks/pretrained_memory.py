"""Peak memory of `diagnose --hf` over that of the same model's plain forward pass.

    python benchmarks/pretrained_memory.py FOLDER TEXT --write             # T = 8,192, float32
    python benchmarks/pretrained_memory.py FOLDER TEXT --length 2048
    python benchmarks/pretrained_memory.py FOLDER TEXT --skip context passkey order

Each line is the peak resident memory of a process of its own, which imports, loads, and runs one
sequence (`diagnose`: two, one after the other). The plain pass is `model(input_ids)` as anybody
writes it, with its cache and the logits of all tokens, (T, vocabulary); the lean one has no cache
and the last token's logits alone. `--skip` is of `diagnose`: what it names runs the model alone, as
the lean pass does, and takes most of the time.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OUT = Path(__file__).parent / "results" / "pretrained_memory.md"
RUNS = ("loaded", "lean forward", "plain forward", "diagnose")


def measure(run: str, args: argparse.Namespace) -> dict[str, float]:
    """Run once, and give this process's peak in MB and the seconds after loading."""
    import torch

    from lightning_posenc.cli import main as command
    from lightning_posenc.pretrained.evaluating.texts import read_texts
    from lightning_posenc.pretrained.reading import read

    torch.set_num_threads(args.threads)
    start = time.perf_counter()
    if run == "diagnose":
        file = [f"--gguf_file={args.gguf_file}"] if args.gguf_file else []
        with tempfile.TemporaryDirectory() as spare:
            out = args.out or spare
            options = [f"--length={args.length}", "--sequences=2", f"--out={out}", *file]
            options += ["--skip", *args.skip] if args.skip else []
            assert (
                command(["diagnose", "--hf", args.folder, "--text", str(args.text), *options]) == 0
            )
    else:
        pretrained = read(args.folder, gguf_file=args.gguf_file)
        (text,) = read_texts(pretrained, [args.text])
        tokens = text.windows(args.length, 1)
        start = time.perf_counter()
        with torch.no_grad():
            if run == "lean forward":
                pretrained.model(input_ids=tokens, use_cache=False, logits_to_keep=1)
            elif run == "plain forward":
                pretrained.model(input_ids=tokens)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"peak": peak, "seconds": time.perf_counter() - start}


def main() -> None:
    """Print a Markdown table, and keep it with `--write`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("text", type=Path)
    parser.add_argument("--gguf_file")
    parser.add_argument("--length", type=int, default=8192)
    parser.add_argument("--skip", nargs="+", default=[])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="keeps what diagnose writes")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--run", choices=RUNS)
    args = parser.parse_args()
    if args.run:
        print(json.dumps(measure(args.run, args)))
        return
    found: dict[str, dict[str, float]] = {}
    for run in RUNS:
        found[run] = _in_a_process(run)
        print(run, found[run], flush=True)
    print(page := _page(found, args))
    if args.write:
        OUT.write_text(page, "utf-8")


def _in_a_process(run: str) -> dict[str, float]:
    command = [sys.executable, __file__, *sys.argv[1:], "--run", run]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return measured


def _page(found: dict[str, dict[str, float]], args: argparse.Namespace) -> str:
    plain, lean = (found[run]["peak"] for run in ("plain forward", "lean forward"))
    skipped = f" --skip {' '.join(args.skip)}" if args.skip else ""
    lines = [
        "# Memory of `diagnose --hf`",
        "",
        f"`python benchmarks/pretrained_memory.py {Path(args.folder).name} {args.text.name} "
        f"--length {args.length}{skipped} --write`",
        "",
        f"T = {args.length:,}, float32, {args.threads} thread(s), {platform.machine()}, Python "
        f"{platform.python_version()}; peak resident memory of a process of its own. The plain "
        "forward pass makes the logits of all tokens and a cache; the lean one does not.",
        "",
        "| | peak, MB | over the plain forward | over the lean forward | seconds |",
        "|---|---|---|---|---|",
    ]
    for run, each in found.items():
        peak, seconds = each["peak"], each["seconds"]
        lines.append(
            f"| {run} | {peak:,.0f} | {peak / plain:.2f} | {peak / lean:.2f} | {seconds:,.0f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
