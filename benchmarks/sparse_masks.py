"""How do time and memory of a training step grow with the length, by who sees whom?

    python benchmarks/sparse_masks.py [--max_length 8192] [--only Longformer] [--write]

RoPE, width 128, 2 layers, 4 heads, batch 1, AdamW; one thread on the CPU. Each mask at each length
is a fresh process: its peak resident memory after two steps, less the peak after a step of 64
tokens, and the processor time of the faster of two steps after the first. Exponents are slopes of
log(seconds) and of log(MiB) over log(T), from 512 tokens on: 1 is linear, 2 quadratic.
"""

import argparse
import json
import os
import subprocess
import sys
from typing import Any

import scaling
import timing

OUT = timing.RESULTS / "sparse_masks.json"
MASKS = ("everybody", "Longformer", "BigBird", "causal", "StreamingLLM")
LINEAR = 1.15


def one(name: str, length: int) -> dict[str, float]:
    """MiB beyond a short step's and seconds of a training step, in this process."""
    import torch

    from lightning_posenc import Dims, Encoder
    from lightning_posenc.masks import BigBird, Longformer, Mask, StreamingLLM
    from lightning_posenc.positional import RoPE

    patterns: dict[str, Mask] = {
        "Longformer": Longformer(129, 1),
        "BigBird": BigBird(64, 3),
        "StreamingLLM": StreamingLLM(256, 4),
    }
    torch.set_num_threads(1)
    causal = name in ("causal", "StreamingLLM")
    model = Encoder(Dims(128, 4, 2, causal=causal), RoPE, mask=patterns.get(name))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step(n: int) -> None:
        optimizer.zero_grad()
        model(torch.randn(1, n, 128)).square().mean().backward()
        optimizer.step()

    step(scaling.SHORT)
    before = scaling.peak()
    seconds = timing.rounds({name: lambda: step(length)}, 2)[name]
    return {"mb": scaling.peak() - before, "seconds": min(seconds)}


def in_a_process(name: str, length: int) -> dict[str, float]:
    """The same in a fresh one."""
    command = [sys.executable, __file__, "--one", name, str(length)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def exponents(found: dict[str, dict[str, float]]) -> dict[str, float | None]:
    """Of time and of memory."""
    longest = 8 * min(map(int, found))  # `scaling.exponent` starts at an eighth of it
    by = {kind: {n: {"mb": row[kind]} for n, row in found.items()} for kind in ("seconds", "mb")}
    return {kind: scaling.exponent(rows, longest) for kind, rows in by.items()}


def page(rows: dict[str, Any]) -> str:
    """The table."""
    lengths = sorted({int(n) for row in rows.values() for n in row["lengths"]})
    lines = [
        "# Growth with the length, by who sees whom",
        "",
        f"{timing.command()}; {timing.described(timing.setting('torch'))}.",
        "",
        (__doc__ or "").split("\n\n")[2].strip(),
        "",
        "Milliseconds / MiB by T.",
        "",
        f"| mask | {' | '.join(map(str, lengths))} | time | memory | |",
        f"|---|{'---|' * (len(lengths) + 3)}",
    ]
    for name, row in rows.items():
        cells = [
            f"{1e3 * row['lengths'][str(n)]['seconds']:.0f} / {row['lengths'][str(n)]['mb']:.0f}"
            for n in lengths
        ]
        grown = row["exponents"]
        verdict = "linear" if max(grown.values()) <= LINEAR else ""
        lines.append(
            f"| {name} | {' | '.join(cells)} | T^{grown['seconds']:.2f} | T^{grown['mb']:.2f} | "
            f"{verdict} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", default=list(MASKS), choices=MASKS)
    parser.add_argument("--min_length", type=int, default=512)
    parser.add_argument("--max_length", type=int, default=8192)
    parser.add_argument("--one", nargs=2, help="a mask and a length, measured in this process")
    parser.add_argument("--write", action="store_true", help=f"keep results/{OUT.name}")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(one(args.one[0], int(args.one[1]))))
        return
    rows = timing.read(OUT) if args.write else {}
    lengths = [2**n for n in range(6, 32) if args.min_length <= 2**n <= args.max_length]
    if len(lengths) < 2:
        parser.error("growth needs two lengths at least, from min_length to max_length")
    for name in args.only:
        found = {}
        for length in lengths:
            found[str(length)] = in_a_process(name, length)
            print(name, length, found[str(length)], flush=True)
        rows[name] = {"lengths": found, "exponents": exponents(found)}
        if args.write:
            timing.write(OUT, rows, page(rows))
    print(page(rows))


if __name__ == "__main__":
    main()
