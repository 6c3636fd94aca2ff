"""Which encoding serves images of a higher resolution than it was trained at?

    python benchmarks/resolution.py --write

Vision Transformers on scikit-learn's digits, trained at 8 x 8 pixels in patches of 2 x 2, tested at
8, 12 and 16 pixels (bicubic): 4 x 4, 6 x 6 and 8 x 8 patches. A learned table is cut off (rows and
columns beyond the trained ones are as drawn at first) or resampled bicubically; rotary encodings
and the log-spaced bias take the larger grid's places as they are, or (rows 'interpolated') divided
by how much the grid grew, so that all lie where training saw some. With --write it writes
results/resolution.{md,json,png}, seed by seed.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lightning_posenc.data import Batch, ImageData
from lightning_posenc.model import EncoderSpec, Patches
from lightning_posenc.modules import ImageClassifier, WarmupCosine, parameter_groups
from lightning_posenc.positional import AxialRoPE, LearnedGrid, LogCPB, MixedRoPE

RESULTS = Path(__file__).parent / "results"
TRAINED, PATCH, TESTED = 8, 2, (8, 12, 16)
D, HEADS, LAYERS, BATCH, RATE = 48, 4, 3, 64, 3e-3
SIDE = TRAINED // PATCH

# What is trained, and the ways to test it: at another size made of the trained weights.
TRAININGS: dict[str, tuple[Any, dict[str, str]]] = {
    "LearnedGrid": (
        partial(LearnedGrid, height=SIDE, width=SIDE),
        {"learned table, cut off": "extend", "learned table, resampled": "resample"},
    ),
    "AxialRoPE": (
        partial(AxialRoPE, base=100.0),
        {"AxialRoPE": "as it is", "AxialRoPE, interpolated": "interpolated"},
    ),
    "MixedRoPE": (MixedRoPE, {"MixedRoPE": "as it is", "MixedRoPE, interpolated": "interpolated"}),
    "LogCPB": (
        partial(LogCPB, window=SIDE, width=64),
        {"LogCPB": "as it is", "LogCPB, interpolated": "interpolated"},
    ),
}


def model(positional: Any) -> ImageClassifier:
    """A classifier that takes the mean over patches."""
    inputs = partial(Patches, patch_size=PATCH, n_channels=1, n_class_tokens=0)
    spec = EncoderSpec(D, HEADS, LAYERS, dropout=0.1)
    return ImageClassifier(spec, None, 10, inputs=inputs, positional=positional, pooling="mean")


def trained(data: ImageData, positional: Any, epochs: int) -> ImageClassifier:
    """A model after some passes over the training images."""
    made = model(positional)
    optimizer = torch.optim.AdamW(parameter_groups(made, made.positional, 0.0), lr=RATE)
    loader = data.train_dataloader()
    n_steps = len(loader) * epochs  # type: ignore[arg-type]
    schedule = WarmupCosine(optimizer, n_steps)
    for step, batch in enumerate(_passes(data, epochs)):
        loss, _, _ = made.score(batch, step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(made.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return made.eval()


def _passes(data: ImageData, epochs: int) -> Iterator[Batch]:
    images = data.train_dataloader().dataset  # type: ignore[attr-defined]
    for epoch in range(epochs):
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(epoch))
        for indices in order.split(BATCH)[:-1]:
            yield images.__getitems__(indices.tolist())


@torch.no_grad()
def accuracy(made: ImageClassifier, data: ImageData, size: int, how: str) -> float:
    """Share of the test images of one size that it tells."""
    side = size // PATCH
    if how in ("extend", "resample"):
        table = partial(LearnedGrid, height=side, width=side, resize=how)
        other = model(table)
        other.load_state_dict(made.state_dict())
        made = other.eval()
    loader = data.test_dataloader()[TESTED.index(size)]
    right = total = 0
    for batch in loader:
        if how == "interpolated":
            places = made.embedding.places(batch.tokens)
            assert places is not None
            # Patches cover the same field of view: the centres of half pixels meet.
            values = (places.values.float() + 0.5) * SIDE / side - 0.5
            batch = batch._replace(positions=values)
        right += int((made(batch).argmax(dim=-1) == batch.targets).sum())
        total += len(batch.targets)
    return right / total


def table(found: dict[str, dict[str, list[float]]], seeds: int, epochs: int, seconds: float) -> str:
    """Means over seeds, with the least and the largest."""
    lines = [
        "# Encodings and the resolution of images",
        "",
        f"Made by `python benchmarks/resolution.py --write`: digits of scikit-learn, trained at "
        f"{TRAINED} x {TRAINED} pixels, patches of {PATCH} x {PATCH}; width {D}, {LAYERS} layers, "
        f"{epochs} epochs of 20 steps of {BATCH}; {seeds} seeds; 359 test images. Means, and least "
        f"to largest. {seconds:.0f} s of processor time, torch {torch.__version__}, "
        f"{platform.machine()}, 1 thread.",
        "",
        "| encoding | " + " | ".join(f"{size} x {size}" for size in TESTED) + " |",
        "|---|" + "---|" * len(TESTED),
    ]
    order = sorted(found, key=lambda name: -statistics.mean(found[name][str(TESTED[-1])]))
    for name in order:
        cells = [
            f"{statistics.mean(runs):.3f} ({min(runs):.3f} to {max(runs):.3f})"
            for runs in found[name].values()
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def drawn(found: dict[str, dict[str, list[float]]], file: Path) -> None:
    """Accuracy by size, a line for each way."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4))
    axes = figure.subplots()
    for number, (name, sizes) in enumerate(found.items()):
        means = [statistics.mean(runs) for runs in sizes.values()]
        style = "--" if "interpolated" in name or "cut" in name else "-"
        axes.plot(TESTED, means, style, marker="o", color=f"C{number}", label=name)
        lows, highs = zip(*[(min(runs), max(runs)) for runs in sizes.values()], strict=True)
        axes.fill_between(TESTED, lows, highs, color=f"C{number}", alpha=0.12, linewidth=0)
    axes.set(xlabel="pixels on a side at the test", ylabel="accuracy", xticks=TESTED)
    axes.set_title("Digits, trained at 8 x 8 pixels")
    axes.legend(fontsize=7, loc="lower left")
    figure.savefig(file, dpi=120, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = ImageData("digits", TRAINED, list(TESTED), batch_size=BATCH, eval_batch_size=359)
    data.prepare_data()
    data.setup("fit")
    found: dict[str, dict[str, list[float]]] = {}
    begun = time.process_time()
    for seed in range(args.seeds):
        for positional, ways in TRAININGS.values():
            torch.manual_seed(seed)
            made = trained(data, positional, args.epochs)
            for name, how in ways.items():
                for size in TESTED:
                    value = accuracy(made, data, size, how)
                    found.setdefault(name, {}).setdefault(str(size), []).append(value)
                print(f"{name:28}", seed, [each[-1] for each in found[name].values()], flush=True)
    page = table(found, args.seeds, args.epochs, time.process_time() - begun)
    print(page)
    if args.write:
        (RESULTS / "resolution.md").write_text(page, "utf-8")
        (RESULTS / "resolution.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        drawn(found, RESULTS / "resolution.png")


if __name__ == "__main__":
    main()
