"""How do memory and time of a training step grow with the length, and time with processes?

    python benchmarks/scaling.py length [--max_length 8192] [--only RoPE] [--write]
    python benchmarks/scaling.py processes [--rounds 3] [--write]

length: causal, width 128, 2 layers, 2 heads, batch 1, AdamW; one thread. Each encoding at each
length is a fresh process: its peak resident memory after two steps, less the peak after a step of
64 tokens, and the processor time of the second. The exponent is the slope of log(memory) over
log(length) from an eighth of the longest length on: 1 is linear, 2 quadratic. A process may not
have more than `--max_gb` of address space; what needs more is named.

processes: `fit` of width 256, 6 layers, 4 heads, length 256 and a global batch of 8 by Lightning's
DDP over gloo, one thread a process, 1 process and 2 in turns. It is the wall time of a step.
"""

import argparse
import itertools
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import timing

OUT = timing.RESULTS / "scaling.json"
SHORT = 64
# FoX's bias reads the content; those of the others do not.
ENCODINGS = ("NoPE", "LearnedAbsolute", "RoPE", "ALiBi", "T5Bias", "FoX")
LINEAR = 1.2  # the largest exponent that is called linear: constants are a part of small figures
MB = 2**20


def peak() -> float:
    """Of this process's resident memory, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, whose `ru_maxrss` may be that of the process which started this
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (MB if sys.platform == "darwin" else 1024)


def one_length(name: str, length: int, max_gb: float) -> dict[str, float]:
    """MiB beyond a short step's and seconds of a training step, in this process."""
    import torch

    from lightning_posenc import Dims, Encoder, positional

    torch.set_num_threads(1)
    kind = getattr(positional, name)
    options = {"max_length": length} if name == "LearnedAbsolute" else {}
    model = Encoder(Dims(128, 2, 2, causal=True), lambda dims: kind(dims, **options))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step(n: int) -> float:
        x = torch.randn(1, n, 128)
        start = time.process_time()
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
        return time.process_time() - start

    step(SHORT)
    if max_gb:
        resource.setrlimit(resource.RLIMIT_AS, (int(max_gb * 2**30),) * 2)
    before = peak()
    step(length)
    seconds = step(length)
    return {"mb": peak() - before, "seconds": seconds}


def in_a_process(*arguments: object) -> dict[str, Any] | None:
    """What this script prints last with these arguments; None if memory ran out."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    if "alloc" in done.stderr or "MemoryError" in done.stderr:
        return None
    raise RuntimeError(f"{' '.join(command)}:\n{done.stderr}")


def exponent(rows: dict[str, dict[str, float] | None], longest: int) -> float | None:
    """Slope of log(MB) over log(T), from an eighth of the longest length on."""
    points = [
        (math.log(int(length)), math.log(row["mb"]))
        for length, row in rows.items()
        if row is not None and int(length) >= longest // 8
    ]
    if len(points) < 2:
        return None
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def train(n_processes: int, n_steps: int, tiny: bool) -> dict[str, float] | None:
    """Median seconds of a step of a fit with DDP, on rank 0; None on the others."""
    import lightning as L
    import torch

    from lightning_posenc.data import SyntheticData
    from lightning_posenc.model import EncoderSpec
    from lightning_posenc.modules import TokenClassifier
    from lightning_posenc.positional import RoPE
    from lightning_posenc.tasks import Reverse

    timing.silence()
    torch.set_num_threads(1)
    stamps: list[float] = []

    class Stamps(L.Callback):
        """Notes when a step ends."""

        def on_train_batch_end(self, *args: Any) -> None:
            stamps.append(time.perf_counter())

    width, layers, length = (32, 2, 16) if tiny else (256, 6, 256)
    data = SyntheticData(Reverse(), length, batch_size=8, steps_per_epoch=n_steps)
    spec = EncoderSpec(width, 4, layers)
    torch.manual_seed(0)
    model = TokenClassifier(spec, data.vocab_size, data.n_classes, positional=RoPE)
    with TemporaryDirectory() as directory:
        trainer = L.Trainer(
            max_epochs=1,
            default_root_dir=directory,
            logger=False,
            callbacks=[Stamps()],
            accelerator="cpu",
            devices=n_processes,
            strategy="ddp",
            use_distributed_sampler=False,
            limit_val_batches=0,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        trainer.fit(model, data)
    if not trainer.is_global_zero:
        return None
    steps = [after - before for before, after in itertools.pairwise(stamps[2:])]
    return {"seconds": statistics.median(steps)}


def measure_lengths(
    names: list[str], longest: int, max_gb: float, rows: dict[str, Any]
) -> Iterator[None]:
    """Add a row for each encoding, one at a time."""
    lengths = [2**n for n in range(8, 32) if 2**n <= longest]
    for name in names:
        found: dict[str, Any] = {}
        for length in lengths:
            found[str(length)] = in_a_process("one", name, length, "--max_gb", max_gb)
            print(name, length, found[str(length)], flush=True)
        rows[name] = {
            "lengths": found,
            "exponent": exponent(found, longest),
            "max_gb": max_gb,
            **timing.setting("torch"),
        }
        yield


def measure_processes(
    n_rounds: int, n_steps: int, tiny: bool, rows: dict[str, Any]
) -> Iterator[None]:
    """Add the row of processes."""
    flags = ["--steps", n_steps, *(["--smoke"] if tiny else [])]
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(n_rounds):
        for n_processes, found in seconds.items():
            got = in_a_process("train", n_processes, *flags)
            assert got is not None
            found.append(got["seconds"])
            print(f"{n_processes} process(es): {1e3 * found[-1]:.0f} ms a step", flush=True)
    rows["processes"] = {
        "ms": {str(n): timing.milliseconds(found) for n, found in seconds.items()},
        "2 / 1": timing.ratio(seconds[2], seconds[1]),
        "rounds": n_rounds,
        "steps": n_steps,
        "load": os.getloadavg()[0],
        **timing.setting("torch", "lightning"),
    }
    yield


def page(rows: dict[str, Any]) -> str:
    """Both tables."""
    lines = ["# Growth with the length and with processes", ""]
    of_lengths = {name: row for name, row in rows.items() if "lengths" in row}
    if of_lengths:
        lengths = sorted({int(n) for row in of_lengths.values() for n in row["lengths"]})
        first = next(iter(of_lengths.values()))
        about = (__doc__ or "").split("\n\n")
        lines += [
            "## Length: memory and time of a training step",
            "",
            f"`python benchmarks/scaling.py length --write`; "
            f"{timing.described(timing.setting('torch'))}.",
            "",
            about[2].removeprefix("length: "),
            "",
            f"MiB / seconds by T; - needs more than "
            f"{first['max_gb']:g} GB of address space; an empty cell was not measured.",
            "",
            f"| encoding | {' | '.join(map(str, lengths))} | exponent | |",
            f"|---|{'---|' * len(lengths)}---|---|",
        ]
        for name, row in of_lengths.items():
            shown = [_cell(row["lengths"], length) for length in lengths]
            slope = row["exponent"]
            verdict = "" if slope is None else "linear" if slope <= LINEAR else "not linear"
            number = "" if slope is None else f"{slope:.2f}"
            lines.append(f"| {name} | {' | '.join(shown)} | {number} | {verdict} |")
        lines.append("")
    if "processes" in rows:
        row = rows["processes"]
        lines += [
            "## Processes: time of a step at an equal global batch",
            "",
            f"`python benchmarks/scaling.py processes --rounds {row['rounds']} --write`; "
            f"{timing.described(timing.setting('torch', 'lightning'))}; load {row['load']:.1f}.",
            "",
            (__doc__ or "").split("\n\n")[3].removeprefix("processes: ").strip(),
            "",
            "| processes | ms a step |",
            "|---|---|",
            *(f"| {n} | {ms:.0f} |" for n, ms in row["ms"].items()),
            "",
            f"2 over 1: {timing.Ratio(*row['2 / 1'])}, median (quartiles) of {row['rounds']} "
            f"rounds of {row['steps']} steps. 0.5 would be the whole of the second core.",
            "",
        ]
    return "\n".join(lines)


def _cell(found: dict[str, Any], length: int) -> str:
    if str(length) not in found:
        return ""
    row = found[str(length)]
    return "-" if row is None else f"{row['mb']:.0f} / {row['seconds']:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["length", "processes", "one", "train"])
    parser.add_argument("of", nargs="*", help="of one: an encoding and a length")
    parser.add_argument("--only", nargs="*", default=list(ENCODINGS), help="encodings")
    parser.add_argument("--max_length", type=int, default=8192)
    parser.add_argument("--max_gb", type=float, default=8.0, help="0 for no limit")
    parser.add_argument("--rounds", type=int, default=3, help="at least 2")
    parser.add_argument("--steps", type=int, default=20, help="of each fit")
    parser.add_argument("--smoke", action="store_true", help="a tiny model for processes")
    parser.add_argument("--write", action="store_true", help=f"keep results/{OUT.name}")
    args = parser.parse_args()
    if args.what == "one":
        print(json.dumps(one_length(args.of[0], int(args.of[1]), args.max_gb)))
        return
    if args.what == "train":
        found = train(int(args.of[0]), args.steps, args.smoke)
        if found is not None:
            print(json.dumps(found))
        return
    rows = timing.read(OUT) if args.write else {}
    if args.what == "length":
        measured = measure_lengths(args.only, args.max_length, args.max_gb, rows)
    else:
        measured = measure_processes(args.rounds, args.steps, args.smoke, rows)
    for _ in measured:
        if args.write:
            timing.write(OUT, rows, page(rows))
    print(page(rows))


if __name__ == "__main__":
    main()
