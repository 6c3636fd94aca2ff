"""Does a Conformer need its convolutions, and does it hear what lasts longer than in training?

    python benchmarks/tones.py --write

Pairs of tones in loud noise are to be written down in their order (`ToneData`), by models of equal
width, depth and steps: a Conformer, and the same without convolutions (a Macaron net), both with
relative positions (Transformer-XL's, as in the paper), and a Conformer with absolute ones
(sinusoids added to the tokens). By seed: the error rate on 2 and 4 symbols,
which were trained on, and on 8, which last twice as long. With --write it writes
results/tones.{md,json,png}, seed by seed. What is done is kept in --found, and not done again.
"""

import argparse
import json
import platform
import statistics
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import nn

from lightning_posenc.data import ToneData
from lightning_posenc.model import MLP, Conformer, Convolution, EncoderSpec, Frames
from lightning_posenc.modules import CTCModel
from lightning_posenc.positional import Sinusoidal, TransformerXL
from lightning_posenc.runs.figures import new_figure

RESULTS = Path(__file__).parent / "results"
D, HEADS, LAYERS, D_FF, KERNEL, BATCH = 48, 4, 2, 96, 15, 16
PITCHES, NOISE, MELS = 5, 1.0, 20
TRAINED, TESTED = [2, 4], [2, 4, 8]
RATE = 3e-3

CONVOLVING = partial(Conformer, convolution=partial(Convolution, kernel_size=KERNEL))
MACARON = partial(Conformer, convolution=None)
VARIANTS: dict[str, tuple[Any, Any]] = {
    "Conformer, relative": (TransformerXL, CONVOLVING),
    "Conformer, absolute": (Sinusoidal, CONVOLVING),
    "no convolutions, relative": (TransformerXL, MACARON),
}


def run(variant: str, seed: int, steps: int) -> dict[str, float]:
    """Train one model; its error rate at each length."""
    positional, residual = VARIANTS[variant]
    L.seed_everything(seed, verbose=False)
    data = ToneData(
        PITCHES,
        NOISE,
        MELS,
        TRAINED,
        eval_lengths=TESTED,
        batch_size=BATCH,
        eval_batch_size=48,
        steps_per_epoch=steps,
        eval_samples=96,
    )
    spec = EncoderSpec(
        D,
        HEADS,
        LAYERS,
        feed_forward=partial(MLP, d_ff=D_FF, activation=nn.SiLU),
        residual=residual,
    )
    model = CTCModel(
        spec,
        None,
        data.n_classes,
        inputs=partial(Frames, n_features=MELS, subsampling=2),
        positional=positional,
        optimizer=partial(torch.optim.AdamW, lr=RATE, weight_decay=0.01, fused=True),
    )
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=1.0,
        limit_val_batches=0,
    )
    begun = time.process_time()
    trainer.fit(model, data)
    seconds = time.process_time() - begun
    trainer.test(model, data, verbose=False)
    errors = {str(n): float(trainer.callback_metrics[f"test/error_rate/len_{n}"]) for n in TESTED}
    return {"seconds": seconds, **errors}


def table(found: dict[str, list[dict[str, float]]], steps: int) -> str:
    """Means over seeds, with the least and the largest."""
    lines = [
        "# A Conformer, with and without convolutions",
        "",
        f"Made by `python benchmarks/tones.py --write`: {PITCHES * (PITCHES - 1)} symbols, noise "
        f"of {NOISE:g} times a tone, width {D}, {LAYERS} layers, kernels of {KERNEL} tokens, "
        f"{BATCH} sequences a step, {steps} steps; {len(next(iter(found.values())))} seeds. torch "
        f"{torch.__version__}, {platform.machine()}, 1 thread. The error rate: symbols that are "
        f"wrong, missing or too many, over those that are right; {TRAINED[0]} to {TRAINED[1]} "
        "symbols were trained on. In brackets the least and the largest of the seeds.",
        "",
        f"| model | {' | '.join(f'{n} symbols' for n in TESTED)} | s of processor |",
        f"|---|{'---|' * len(TESTED)}---|",
    ]
    for name, runs in found.items():
        cells = []
        for n in TESTED:
            errors = [each[str(n)] for each in runs]
            cells.append(f"{statistics.mean(errors):.3f} ({min(errors):.3f} to {max(errors):.3f})")
        seconds = statistics.median(each["seconds"] for each in runs)
        lines.append(f"| {name} | {' | '.join(cells)} | {seconds:.0f} |")
    return "\n".join([*lines, ""])


def draw(found: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Error rate by the number of symbols: the mean, and from the least to the largest."""
    figure = new_figure(figsize=(6, 3.8))
    axes = figure.subplots()
    axes.axvspan(*TRAINED, color="C2", alpha=0.15, label="trained")
    for color, (name, runs) in enumerate(found.items()):
        errors = [[each[str(n)] for each in runs] for n in TESTED]
        means = [statistics.mean(each) for each in errors]
        axes.plot(TESTED, means, f"C{color}.-", label=name)
        axes.fill_between(
            TESTED, [*map(min, errors)], [*map(max, errors)], color=f"C{color}", alpha=0.15
        )
    axes.set(xlabel="symbols of a sequence", ylabel="error rate", ylim=(0, None), xticks=TESTED)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--found", type=Path, help="file of what is done")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    done = json.loads(given.found.read_text()) if given.found and given.found.exists() else {}
    for seed in range(given.seeds):
        for variant in given.only:
            key = f"{variant}, {given.steps} steps, seed {seed}"
            if key not in done:
                done[key] = run(variant, seed, given.steps)
                print(key, {name: round(value, 3) for name, value in done[key].items()}, flush=True)
                if given.found:
                    given.found.write_text(json.dumps(done, indent=1))
    found = {
        variant: [
            done[f"{variant}, {given.steps} steps, seed {seed}"] for seed in range(given.seeds)
        ]
        for variant in given.only
    }
    print(table(found, given.steps))
    if given.write:
        (RESULTS / "tones.md").write_text(table(found, given.steps))
        (RESULTS / "tones.json").write_text(json.dumps(found, indent=1) + "\n")
        draw(found, RESULTS / "tones.png")


if __name__ == "__main__":
    main()
