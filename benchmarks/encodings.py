"""Time of a training step with every encoding over that with NoPE, in one process.

    python benchmarks/encodings.py [--rounds 5] [--record]

A causal model of width 256 with 6 layers and 4 heads, length 256, batch 8; forward and backward.
The figure is the median ratio of a step to the step of NoPE's measured just before it. `--record`
writes what the command `encodings` and docs/catalogue.md show.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from rich.progress import track

from lightning_posenc import Dims, Encoder, positional
from lightning_posenc.catalogue import described
from lightning_posenc.positional import NoPE

RECORD = Path(described.__file__).parent / "encoding_costs.json"
DIMS = Dims(256, 4, 6, causal=True)
BATCH, LENGTH = 8, 256
# What each family may cost, by the folder that it lies in, or its class; methods that read the
# tokens have no bound.
BOUNDS = {".absolute.": 1.05, ".rotary.": 1.15}
DISTANCE_ONLY = 1.35


class Contender:
    """A model, to be timed step by step."""

    def __init__(self, kind: type[positional.PositionalEncoding]) -> None:
        self.model = Encoder(DIMS, kind)
        self.positions = described.example_positions(self.model.positional, LENGTH)

    def step(self, x: torch.Tensor) -> float:
        """Seconds of a forward and a backward."""
        self.model.zero_grad()
        start = time.perf_counter()
        self.model(x, positions=self.positions).square().mean().backward()
        return time.perf_counter() - start


def measure(rounds: int, names: list[str]) -> Iterator[tuple[str, float]]:
    """Name of every encoding, and the ratio of its step to NoPE's."""
    x = torch.randn(BATCH, LENGTH, DIMS.d_model)
    plain = Contender(NoPE)
    plain.step(x)
    for name in track(names, "encodings"):  # one at a time: not all models fit into memory
        other = Contender(getattr(positional, name))
        other.step(x)
        pairs = [(plain.step(x), other.step(x)) for _ in range(rounds)]
        yield name, round(statistics.median(ours / base for base, ours in pairs), 3)


def bound(name: str) -> float | None:
    """What the encoding's family may cost."""
    kind = getattr(positional, name)
    if issubclass(kind, positional.RelativeBias):
        return DISTANCE_ONLY
    return next((most for family, most in BOUNDS.items() if family in kind.__module__), None)


def record(threads: int, ratio: float, name: str) -> None:
    """Keep one encoding's ratio beside those that were measured before."""
    kept = {
        "what": "time of a training step over that with NoPE (causal, width 256, 6 layers, "
        "length 256, batch 8; medians of `python benchmarks/encodings.py --record`)",
        "machine": f"{threads} thread(s) of {os.cpu_count()} {platform.machine()} cores, "
        f"torch {torch.__version__.split('+')[0]}",
        "date": datetime.date.today().isoformat(),
        "ratios": described.costs()["ratios"] | {name: ratio},
    }
    RECORD.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", nargs="*", help="names of classes")
    parser.add_argument("--record", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    names = args.only or [entry.name for entry in described.encodings(DIMS)]
    ratios: dict[str, float] = {}
    for name, ratio in measure(args.rounds, names):
        ratios[name] = ratio
        if args.record:
            record(args.threads, ratio, name)
    print(f"{'':24}{'step / NoPE':>12}{'bound':>8}")
    for name, ratio in sorted(ratios.items(), key=lambda item: item[1]):
        most = bound(name)
        verdict = "" if most is None else f"{most:8.2f}{'  exceeded' if ratio > most else ''}"
        print(f"{name:24}{ratio:12.3f}{verdict}")


if __name__ == "__main__":
    main()
