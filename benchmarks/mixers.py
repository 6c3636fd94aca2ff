"""How do time and memory of every mixer grow with the length, and how far is it from its oracle?

    python benchmarks/mixers.py [--only Performer Retention] [--record]

Two layers of width 128 and 4 heads, one sequence of 512 to 8192 tokens, forward and backward, by
the processor's time (the least of three steps). Memory is what a step keeps for the backward pass,
counted. The exponent is the slope of a line through the logarithms. What grows faster ends before a
step takes `--longest` seconds, or keeps 4 GiB. `--record` writes what the command `mixers` shows.
"""

import argparse
import datetime
import inspect
import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from lightning_posenc import Dims, Encoder
from lightning_posenc.catalogue import described_mixers as described
from lightning_posenc.masks import BigBird, Longformer, Mask
from lightning_posenc.model import Attention, Mixer
from lightning_posenc.positional import NoPE
from lightning_posenc.positions import Grid
from tests.model.mixers.cases import CASES, error

RECORD = Path(described.__file__).parent / "mixer_records.json"
LENGTHS = (512, 1024, 2048, 4096, 8192)
DIMS = {causal: Dims(128, 4, 2, causal=causal) for causal in (False, True)}
ROUNDS = 3
MOST = 2**32  # bytes that a step may keep


class Step(NamedTuple):
    """What one length took: seconds, and bytes kept for the backward pass."""

    seconds: float
    kept: int


def step(model: Encoder, length: int) -> Step:
    """The least time of several steps, and what one of them keeps."""
    x = torch.randn(1, length, model.dims.d_model)
    storages: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model(x).square().mean()
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept = sum(size for pointer, size in storages.items() if pointer not in weights)
    loss.backward()
    seconds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        model(x).square().mean().backward()
        seconds.append(time.process_time() - start)
        if seconds[-1] > 1:
            break
    return Step(min(seconds), kept)


def curve(make: Callable[[int], Encoder], longest: float) -> dict[int, Step]:
    """Steps of the lengths that are served, until the next would take longer than is said."""
    found: dict[int, Step] = {}
    for length in LENGTHS:
        torch.manual_seed(0)
        try:
            found[length] = step(make(length), length)
        except ValueError:  # of what is made for a length
            break
        too_much = 4 * found[length].seconds > longest or 4 * found[length].kept > MOST
        if too_much and len(found) > 1:  # two make a slope
            break
    return found


def exponent(found: dict[int, float]) -> float:
    """The slope of a line through the logarithms, by least squares."""
    xs, ys = [math.log(n) for n in found], [math.log(y) for y in found.values()]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    slope = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True))
    return slope / sum((a - x) ** 2 for a in xs)


def contenders(only: list[str] | None) -> Iterator[tuple[str, Callable[[int], Encoder]]]:
    """Every mixer, causal if it can be, and attention under masks that few pairs pass."""
    for kind in described.makeable():
        causal = "causal" in kind.serves
        if only is None or kind.__name__ in only:
            yield kind.__name__, partial(made_for, kind, DIMS[causal])
    for mask in (Longformer(size=64), BigBird()):
        name = type(mask).__name__
        if only is None or name in only:
            yield name, partial(masked, mask)


def made_for(kind: type[Mixer], dims: Dims, length: int) -> Encoder:
    """A model for sequences of a length: weights of a number of tokens are of that number."""
    takes = "max_length" in inspect.signature(kind).parameters
    mixer = partial(kind, max_length=length) if takes else kind
    return Encoder(dims, NoPE, Grid((-1, 16)) if kind.on_grid else None, mixer=mixer)


def masked(mask: Mask, length: int) -> Encoder:
    """Attention for any length."""
    return Encoder(DIMS[False], NoPE, mixer=Attention, mask=mask)


def errors(names: list[str]) -> dict[str, float]:
    """Largest difference of mixers from their oracles, over their cases and directions."""
    worst: dict[str, float] = {}
    for case in CASES:
        for causal in case.directions:
            name = type(case.make(Dims(16, 2, 1, causal=causal), 0)).__name__
            if name in names:
                worst[name] = max(worst.get(name, 0.0), float(f"{error(case, causal):.1e}"))
    return worst


def record(curves: dict[str, dict[int, Step]], found: dict[str, float]) -> None:
    """Keep what was measured beside what was measured before."""
    kept: dict[str, Any] = described.records() if RECORD.exists() else {}
    exponents = {
        name: {
            "time": round(exponent({n: each.seconds for n, each in steps.items()}), 2),
            "memory": round(exponent({n: each.kept for n, each in steps.items()}), 2),
            "milliseconds": {n: round(1e3 * each.seconds, 1) for n, each in steps.items()},
            "megabytes": {n: round(each.kept / 2**20, 1) for n, each in steps.items()},
        }
        for name, steps in curves.items()
    }
    RECORD.write_text(json.dumps({
        "what": "Exponents: a training step of two layers of width 128, one sequence "
        "(`python benchmarks/mixers.py --record`)",
        "machine": f"1 thread of {os.cpu_count()} {platform.machine()} cores, "
        f"torch {torch.__version__.split('+')[0]}",
        "date": datetime.date.today().isoformat(),
        "lengths": list(LENGTHS),
        "exponents": kept.get("exponents", {}) | exponents,
        "errors": kept.get("errors", {}) | found,
    }, indent=1, sort_keys=True) + "\n", "utf-8")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="names of classes")
    parser.add_argument("--longest", type=float, default=30.0, help="seconds of a step")
    parser.add_argument("--record", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'':30}{'time':>6}{'memory':>8}  milliseconds at {', '.join(map(str, LENGTHS))}")
    for name, make in contenders(args.only):
        steps = curve(make, args.longest)
        if len(steps) < 2:
            print(f"{name:30}made for fewer than {LENGTHS[1]} tokens", flush=True)
            if args.record:
                record({}, errors([name]))
            continue
        slopes = (exponent({n: getattr(each, what) for n, each in steps.items()})
                  for what in Step._fields)  # fmt: skip
        times = " ".join(f"{1e3 * each.seconds:9.1f}" for each in steps.values())
        print("{:30}{:6.2f}{:8.2f}  {}".format(name, *slopes, times), flush=True)
        if args.record:
            record({name: steps}, errors([name]))


if __name__ == "__main__":
    main()
