"""What does every encoding cost a GPU, by backend and length, on a model of 124M parameters?

    python benchmarks/gpu.py [--minutes 8] [--only RoPE ALiBi] [--lengths 4096] [--out FILE]

GPT-2's sizes (12 layers, width 768, 12 heads, 50,304 tokens), causal, bfloat16 by autocast, fused
AdamW, 32,768 tokens a step whatever the length (at least one sequence). For every encoding, backend
(eager, sdpa, flex) and length, with and without `encoder.compile()`: median time of a step, peak
memory, model FLOP utilisation, and the time of one forward pass that takes attention entropy in
every layer, spread over the 100 steps between two of them. What matters most comes first:
gradients of FlexAttention against the definition in float64; seeds of a small model trained as one;
NoPE and RoPE at 4096 tokens, compiled too; every encoding there by the kernel that should be its
fastest; then all else. A run ends after --minutes, says what is open, and the same command goes on
from there. Each row is kept as soon as it is measured. What does not fit into memory is named, and
longer sequences of the same kind are not tried.

Utilisation counts 6 FLOPs a token for each parameter but the encoding's (the token table counts
once, as the head) and 6 * layers * length * width a token for causal attention, half of the full
square; recomputation counts for nothing. The peak is that of dense bfloat16.

Without CUDA a tiny model runs on the CPU, which shows that the script works; what is unmeasured is
said.
"""

import argparse
import functools
import inspect
import itertools
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import stacked
import timing
import torch
from torch import nn
from torch.nn import functional as F

from lightning_posenc import Dims, Encoder, positional
from lightning_posenc.catalogue import described as catalogue
from lightning_posenc.diagnostics import entropy_of, observe
from lightning_posenc.model import SDPA, Attention, Eager, Flex
from lightning_posenc.model.kernels import Operands

OUT = timing.RESULTS / "gpu.json"
BACKENDS = {"eager": Eager, "sdpa": SDPA, "flex": Flex}
ENTROPY_EVERY = 100
TOO_LARGE, AFTER_TOO_LARGE = "out of memory", "a shorter one was out of memory"
AT, COST, UTILISATION = 4096, 1.15, 0.45
MINUTES = 8.0
SEEDS, STACKED = (8, 64), 1 / 8  # seeds trained as one, and their time over one by one, at most
BY_DISTANCE = ("ALiBi", "KERPLELog", "KERPLEPower", "LearnedRelativeBias", "Sandwich", "T5Bias")
GRADIENTS_OF = ("NoPE", "RoPE", "ALiBi", "Sandwich")
# Dense bfloat16 TFLOP/s by part of the device's name, from NVIDIA's data sheets.
PEAKS = {"H200": 989, "H100 PCIe": 756, "H100": 989, "A100": 312, "L40S": 362, "RTX 4090": 165}


class Sizes(NamedTuple):
    """Of the model, and tokens of a step."""

    width: int = 768
    layers: int = 12
    heads: int = 12
    vocabulary: int = 50304
    tokens: int = 32768
    repeats: int = 10


SMOKE = Sizes(32, 2, 2, 64, 64, 2)


class Model(nn.Module):
    """Tokens to a loss; the head is the token embedding."""

    def __init__(self, sizes: Sizes, name: str, backend: str, length: int) -> None:
        super().__init__()
        dims = Dims(sizes.width, sizes.heads, sizes.layers, causal=True, embed_std=0.02)
        kind = getattr(positional, name)
        if "max_length" in inspect.signature(kind).parameters:  # a table as long as the text
            kind = functools.partial(kind, max_length=length)
        self.embedding = nn.Embedding(sizes.vocabulary, sizes.width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.encoder = Encoder(dims, kind, mixer=partial(Attention, kernel=BACKENDS[backend]))

    def forward(self, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        states = self.encoder(self.embedding(tokens), positions=positions)
        logits = F.linear(states[:, :-1], self.embedding.weight)
        return F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())


def flops_a_token(model: Model, sizes: Sizes, length: int) -> float:
    """Forward and backward, as the docstring of this file counts."""
    encoding = sum(p.numel() for p in model.encoder.positional.parameters())
    multiplied = sum(p.numel() for p in model.parameters()) - encoding
    return 6 * multiplied + 6 * sizes.layers * length * sizes.width


def peak_tflops(given: float | None) -> float | None:
    """Of this device; None if it is unknown and was not given."""
    if given or not torch.cuda.is_available():
        return given
    name = torch.cuda.get_device_name()
    return next((peak for part, peak in PEAKS.items() if part in name), None)


def timed(step: Callable[[], object], n: int, device: torch.device) -> float:
    """Median seconds."""

    def clock() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    return timing.milliseconds(timing.rounds({"": step}, n, clock)[""]) / 1e3


def measure(
    name: str,
    backend: str,
    length: int,
    compiled: bool,
    sizes: Sizes,
    device: torch.device,
    peak: float | None,
) -> dict[str, Any]:
    """One row."""
    torch.manual_seed(0)
    model = Model(sizes, name, backend, length).to(device)
    at = catalogue.example_positions(model.encoder.positional, length).to(device)
    batch = max(1, sizes.tokens // length)
    tokens = torch.randint(sizes.vocabulary, (batch, length), device=device)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    autocast = torch.autocast(device.type, torch.bfloat16)

    def step() -> None:
        optimizer.zero_grad()
        with autocast:
            loss = model(tokens, at)
        loss.backward()
        optimizer.step()

    def take(view: Operands) -> None:
        entropy_of(view).mean()

    def plain() -> None:
        with torch.no_grad(), autocast:
            model(tokens, at)

    def watched() -> None:
        with observe(model.encoder, take_attention=take, take_hidden=lambda _: None):
            plain()

    # Before compiling: what is compiled has no hooks to observe by.
    entropy = timed(watched, sizes.repeats, device)
    forward = timed(plain, sizes.repeats, device)
    if compiled:
        model.encoder.compile()
    timed(step, 2, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = timed(step, sizes.repeats, device)
    flops = batch * length * flops_a_token(model, sizes, length)
    on_cuda = device.type == "cuda"
    return {
        "ms": 1e3 * seconds,
        "gb": torch.cuda.max_memory_allocated() / 2**30 if on_cuda else None,
        "utilisation": flops / seconds / (peak * 1e12) if peak else None,
        "entropy ms": 1e3 * entropy,
        "entropy over a plain pass": entropy / forward,
        "entropy overhead": entropy / ENTROPY_EVERY / seconds,
    }


def row(arguments: tuple[str, str, int, bool], *rest: Any) -> dict[str, Any]:
    """One row, or the reason why there is none."""
    try:
        return measure(*arguments, *rest)
    except torch.OutOfMemoryError:
        return {"skipped": TOO_LARGE}
    except (ValueError, RuntimeError) as error:  # of this encoding, kernel or compiler
        return {"skipped": f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"}
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        torch.compiler.reset()


def key(name: str, backend: str, length: int, compiled: bool) -> str:
    return f"{name} {backend} {length}{' compiled' if compiled else ''}"


def ordered(
    names: list[str], backends: list[str], lengths: list[int], on_cuda: bool
) -> list[tuple[str, str, int, bool]]:
    """All combinations, what matters most first, shorter lengths before longer ones."""
    compiled = (False, True) if on_cuda else (False,)  # it takes seconds a model

    def rank(of: tuple[str, str, int, bool]) -> tuple[bool, bool, bool, int]:
        name, backend, length, is_compiled = of
        fast = backend == ("flex" if name in BY_DISTANCE else "sdpa")
        base = name in ("NoPE", "RoPE")
        return length != AT, not fast or (is_compiled and not base), not base, length

    return sorted(itertools.product(names, backends, sorted(lengths), compiled), key=rank)


def flex_gradients(device: torch.device) -> dict[str, float]:
    """Largest error of FlexAttention's gradients of the inputs, relative to the definition's in
    float64, by encoding; on CUDA in float32 and bfloat16.
    """
    found = {}
    for name, dtype in itertools.product(GRADIENTS_OF, (torch.float32, torch.bfloat16)):
        torch.manual_seed(0)
        dims = Dims(128, 2, 1, causal=True)
        x, target = torch.randn(2, 2, 512, 128, device=device, dtype=torch.float64)
        documents = (torch.arange(512, device=device) // 200).expand(2, -1)
        torch.manual_seed(0)
        wide, narrow = (
            Encoder(dims, getattr(positional, name), mixer=partial(Attention, kernel=kernel))
            .requires_grad_(False)
            .to(device, kind)
            for kernel, kind in ((Eager, torch.float64), (Flex, dtype))
        )
        narrow.load_state_dict(wide.state_dict())
        gradients = []
        for encoder, kind in ((wide, torch.float64), (narrow, dtype)):
            given = x.to(kind, copy=True).requires_grad_()
            out = encoder(given, documents=documents)
            (out.double() * target).sum().backward()
            assert given.grad is not None
            gradients.append(given.grad.double())
        right, ours = gradients
        key = f"{name} {str(dtype).removeprefix('torch.')}"
        found[key] = float((ours - right).abs().max() / right.abs().max())
    return found


def best(rows: dict[str, Any], name: str, length: int) -> tuple[str, dict[str, Any]] | None:
    """The fastest way to compute an encoding at a length."""
    ways = {
        f"{backend}{', compiled' if compiled else ''}": rows.get(
            key(name, backend, length, compiled)
        )
        for backend, compiled in itertools.product(BACKENDS, (False, True))
    }
    measured = {way: row for way, row in ways.items() if row and "ms" in row}
    return min(measured.items(), key=lambda item: item[1]["ms"], default=None)


def stacked_seeds(seeds: Sequence[int], device: torch.device) -> dict[str, list[float]]:
    """Time of a step of the quickstart's model from several seeds at once, over one by one."""
    timing.silence()
    on_cuda = device.type == "cuda"
    config = stacked.CONFIGS["quickstart" if on_cuda else "tiny"]
    rounds, steps = (3, 20) if on_cuda else (2, 2)
    return {
        str(n): stacked.measure(config, n, rounds, steps, device)["together / alone"] for n in seeds
    }


def page(kept: dict[str, Any]) -> str:
    """The best backend of every encoding at each length, beside NoPE's, and what was skipped."""
    rows, about = kept["rows"], kept["about"]
    names = sorted({entry.split()[0] for entry in rows}, key=str.lower)
    lengths = sorted({int(entry.split()[2]) for entry in rows})
    lines = ["# Every encoding on a GPU", "", f"{timing.command()}; {timing.described(about)}.", ""]
    on_cpu = about["device"] == "cpu"
    if on_cpu:
        ran = sum("ms" in row for row in rows.values())
        lines += [
            "**Unmeasured.** No CUDA device was at hand: this was the script's smoke mode, a tiny "
            f"model on the CPU. {ran} of {len(rows)} combinations of {len(names)} encodings, "
            f"{len(BACKENDS)} backends and lengths {', '.join(map(str, lengths))} ran to the end. "
            "Open are all times, memory, utilisation, compiled models, FlexAttention (which has no "
            "backward on the CPU: `flex` is SDPA there) and with them both targets.",
            "",
        ]
    lines += [
        f"Targets, at length {AT}: every encoding's step at most {COST} times NoPE's, each with "
        f"its best backend, and a utilisation of at least {UTILISATION:.0%} for NoPE and RoPE.",
        "",
        *(__doc__ or "").split("\n\n")[2].splitlines(),
        "",
        *(__doc__ or "").split("\n\n")[3].splitlines(),
        "",
    ]
    if kept.get("open"):
        lines += [f"{kept['open']} combinations are open: the same command goes on from here.", ""]
    if gradients := kept.get("flex gradients"):
        said = ", ".join(f"{name} {error:.1e}" for name, error in gradients.items())
        lines += [f"Gradients of FlexAttention, largest relative error: {said}.", ""]
    if (ratios := kept.get("stacked seeds")) and not on_cpu:
        said = ", ".join(f"{n}: {timing.Ratio(*each)}" for n, each in ratios.items())
        lines += [
            "Time of a step of the quickstart's model from several seeds as one, over one by one "
            f"(target: {STACKED:g} of {SEEDS[-1]} seeds). By the number of seeds {said}.",
            "",
        ]
    for length in () if on_cpu else lengths:
        base = best(rows, "NoPE", length)
        lines += [
            f"## Length {length}",
            "",
            "| encoding | best backend | ms a step | over NoPE | GB | utilisation "
            "| entropy every 100 steps |",
            "|---|---|---|---|---|---|---|",
        ]
        for name in names:
            found = best(rows, name, length)
            if found is None:
                lines.append(f"| {name} | none | | | | | |")
                continue
            way, row = found
            over = row["ms"] / base[1]["ms"] if base else None
            missed = " (missed)" if over and over > COST and length == AT else ""
            lines.append(
                f"| {name} | {way} | {row['ms']:.1f} | {_number(over, '.3f')}{missed} "
                f"| {_number(row['gb'], '.1f')} | {_number(row['utilisation'], '.1%')} "
                f"| {row['entropy overhead']:.2%} |"
            )
        lines.append("")
    skipped = {entry: row["skipped"] for entry, row in rows.items() if "skipped" in row}
    lines += ["## Did not run", "", *(f"- {entry}: {why}" for entry, why in skipped.items())]
    return "\n".join(lines if skipped else lines[:-2]) + "\n"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else f"{value:{form}}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", help="names of classes")
    parser.add_argument("--backends", nargs="*", default=list(BACKENDS), choices=BACKENDS)
    parser.add_argument("--lengths", type=int, nargs="*")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="after which no row begins")
    parser.add_argument("--peak_tflops", type=float, help="dense bfloat16; else by device's name")
    parser.add_argument("--out", type=Path, default=OUT, help="goes on from what it holds")
    args = parser.parse_args()
    on_cuda = torch.cuda.is_available()
    device = torch.device("cuda" if on_cuda else "cpu")
    sizes = Sizes() if on_cuda else SMOKE
    lengths = args.lengths or ([1024, 2048, 4096, 8192, 16384, 32768] if on_cuda else [16, 32])
    about = timing.setting("torch") | {
        "device": torch.cuda.get_device_name() if on_cuda else "cpu",
        "peak TFLOP/s": str(peak_tflops(args.peak_tflops)),
    }
    if not on_cuda:
        torch.set_num_threads(1)
        print("no CUDA device: smoke mode on the CPU; nothing here says anything about a GPU")
    kept = timing.read(args.out)
    if kept.get("about", {}).get("device") != about["device"]:
        kept = {"rows": {}}
    kept["about"] = about
    every = [entry.name for entry in catalogue.encodings(Dims(32, 4, 2))]
    names = args.only or ["NoPE", *(name for name in every if name != "NoPE")]
    end = time.monotonic() + 60 * args.minutes
    if on_cuda and "flex gradients" not in kept:
        kept["flex gradients"] = flex_gradients(device)
        print(kept["flex gradients"], flush=True)
    if "stacked seeds" not in kept:
        kept["stacked seeds"] = stacked_seeds(SEEDS if on_cuda else (2,), device)
        print(kept["stacked seeds"], flush=True)
    peak = peak_tflops(args.peak_tflops)
    too_long: dict[tuple[str, str, bool], int] = {}  # the shortest length that did not fit
    kept["open"] = 0
    for arguments in ordered(names, args.backends, lengths, on_cuda):
        name, backend, length, compiled = arguments
        entry, way = key(*arguments), (name, backend, compiled)
        if entry not in kept["rows"]:
            if time.monotonic() > end:
                kept["open"] += 1
                continue
            full = length > too_long.get(way, length)
            skipped = {"skipped": AFTER_TOO_LARGE}
            kept["rows"][entry] = skipped if full else row(arguments, sizes, device, peak)
            print(entry, kept["rows"][entry], flush=True)
            timing.write(args.out, kept)
        if kept["rows"][entry].get("skipped") == TOO_LARGE:
            too_long[way] = min(length, too_long.get(way, length))
    timing.write(args.out, kept, page(kept))
    print(page(kept))


if __name__ == "__main__":
    main()
