"""Memory and time of attention entropy and its companions at long lengths.

    python benchmarks/diagnostics_memory.py              # T = 16,384 and 8 heads, 2 layers
    python benchmarks/diagnostics_memory.py --length 4096

Each line is the peak of a fresh process. "beyond" is what it needs more than the same forward pass
that nobody observes. "naive" would keep softmax(q·k) of one layer, H·T² float32.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

RUNS = {
    "forward pass": "plain",
    "entropy, taken layer by layer": "entropy",
    "all six statistics, taken layer by layer": "summary",
    "all six statistics, all layers kept": "kept",
}


def measure(run: str, length: int, n_heads: int, n_layers: int) -> dict[str, float]:
    """Run one forward pass and give this process's peak, in MB, and the seconds of the pass."""
    import torch

    from lightning_posenc import Dims, Encoder
    from lightning_posenc.diagnostics import (
        entropy_of,
        observe,
        summarise,
    )
    from lightning_posenc.model.kernels import Operands
    from lightning_posenc.positional import RoPE

    torch.set_num_threads(1)
    found: list[float] = []

    def entropy(view: Operands) -> None:
        found.append(float(entropy_of(view).mean()))

    def summary(view: Operands) -> None:
        found.append(float(summarise(view).entropy.mean()))

    model = Encoder(Dims(32 * n_heads, n_heads, n_layers, causal=True), RoPE).eval()
    x = torch.randn(1, length, 32 * n_heads)
    start = time.perf_counter()
    with torch.no_grad():
        if run == "plain":
            model(x)
        elif run == "kept":
            with observe(model) as seen:
                model(x)
            for view in seen.attention:
                summary(view)
        else:
            take = {"entropy": entropy, "summary": summary}[run]
            with observe(model, take_attention=take, take_hidden=lambda _: None):
                model(x)
    assert len(found) == (0 if run == "plain" else n_layers)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"peak": peak, "seconds": time.perf_counter() - start, "entropy": sum(found)}


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--length", type=int, default=16384)
    parser.add_argument("--n_heads", type=int, default=8)
    parser.add_argument("--n_layers", type=int, default=2)
    parser.add_argument("--run", choices=RUNS.values())
    args = parser.parse_args()
    if args.run:
        print(json.dumps(measure(args.run, args.length, args.n_heads, args.n_layers)))
        return
    naive = args.n_heads * args.length**2 * 4 / 1e6
    print(f"T = {args.length}, {args.n_heads} heads of 32 channels, {args.n_layers} layers, RoPE\n")
    print("| run | peak, MB | beyond, MB | seconds |\n|---|---|---|---|")
    base = 0.0
    for name, run in RUNS.items():
        command = [sys.executable, __file__, *sys.argv[1:], "--run", run]
        root = Path(__file__).parent.parent
        out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout
        got = json.loads(out.splitlines()[-1])
        base = base or got["peak"]
        beyond = got["peak"] - base
        print(f"| {name} | {got['peak']:.0f} | {beyond:.0f} | {got['seconds']:.1f} |", flush=True)
    print(f"| naive, one layer | | {naive:.0f} | |")


if __name__ == "__main__":
    main()
