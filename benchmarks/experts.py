"""Do experts learn more than a dense feed-forward of the same active width, and who routes them?

    python benchmarks/experts.py --write

Small language models on the prose that ships with Python, trained for equal steps: a dense SwiGLU;
eight experts of half its width, two for each token (equal active parameters, but for the router),
with two encodings, and without the loss of balance; and eight of its whole width, one for each
token, without it. By seed: the loss on held-out text; the least and the largest load over an even
one, on text that was trained on and on held-out text, whose topics are others; and the share of the
routing that the place explains, on held-out text. With --write it writes results/experts.{md,json},
seed by seed.
"""

import argparse
import json
import platform
import statistics
import time
import warnings
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from lightning_posenc.data import TextData
from lightning_posenc.diagnostics import observe
from lightning_posenc.diagnostics.measures.routing import expert_load
from lightning_posenc.model import EncoderSpec, MixtureOfExperts, SwiGLU, SwitchRouter
from lightning_posenc.modules import LanguageModel
from lightning_posenc.positional import RoPE, Sinusoidal

RESULTS = Path(__file__).parent / "results"
D, LAYERS, T, BATCH, WIDTH, E = 64, 2, 64, 16, 176, 8
LOOKED_AT = 16, 64  # batches of held-out text, and of text of the training
BALANCE = 0.1  # weight of the loss; docs/log.md has others

EXPERTS = partial(MixtureOfExperts, n_experts=E)
HALF = partial(EXPERTS, d_ff=WIDTH // 2, balance=BALANCE)
VARIANTS: dict[str, tuple[Any, Any]] = {
    "dense, RoPE": (RoPE, partial(SwiGLU, d_ff=WIDTH)),
    "8 experts, RoPE": (RoPE, HALF),
    "8 experts, Sinusoidal": (Sinusoidal, HALF),
    "8 experts, no loss of balance": (RoPE, partial(HALF, balance=0.0)),
    "1 of 8, no loss of balance": (
        RoPE,
        partial(EXPERTS, d_ff=WIDTH, router=SwitchRouter, balance=0.0),
    ),
}


def run(variant: str, seed: int, steps: int) -> dict[str, float]:
    """Train one model, and look at it on held-out text."""
    positional, feed_forward = VARIANTS[variant]
    L.seed_everything(seed, verbose=False)
    data = TextData("python_docs", train_length=T, batch_size=BATCH, steps_per_epoch=steps)
    spec = EncoderSpec(D, 4, LAYERS, feed_forward=feed_forward)
    model = LanguageModel(
        spec, 256, positional=positional, optimizer=partial(torch.optim.AdamW, lr=3e-3)
    )
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=1.0,
        limit_val_batches=LOOKED_AT[0],
        num_sanity_val_steps=0,
    )
    begun = time.perf_counter()
    trainer.fit(model, data)
    seconds = time.perf_counter() - begun
    found = {"loss": float(trainer.callback_metrics["val/loss"]), "seconds": seconds}
    model.eval()
    for name, loader, n in zip(
        ("held_out", "trained"),
        (data.val_dataloader(), data.train_dataloader()),
        LOOKED_AT,
        strict=True,
    ):
        measured = looked_at(model, torch.cat([batch.tokens for batch in islice(loader, n)]))
        if measured:
            loads = torch.stack(list(measured["experts/load"].values())) * E
            found |= {f"least_{name}": float(loads.min()), f"largest_{name}": float(loads.max())}
            if name == "held_out":
                shares = measured["experts/by_position"]
                found |= {f"by_position_{layer}": float(x) for layer, x in shares.items()}
    return found


@torch.no_grad()
def looked_at(model: LanguageModel, tokens: Tensor) -> dict[str, dict[int, Tensor]]:
    """What `ExpertLoad` measures, of (B, T) tokens at once."""
    with observe(model) as seen:
        model(tokens)
    return expert_load(seen, None)


def table(found: dict[str, list[dict[str, float]]], steps: int) -> str:
    """Means over seeds, and least and largest of the losses."""
    lines = [
        "# Experts and dense feed-forwards",
        "",
        f"Made by `python benchmarks/experts.py --write`: width {D}, {LAYERS} layers, {T} bytes a "
        f"sequence, {BATCH} sequences a step, {steps} steps; {len(next(iter(found.values())))} "
        f"seeds. torch {torch.__version__}, {platform.machine()}, 1 thread.",
        "",
        "| model | loss on held-out text (least to largest) | s | loads on text trained on "
        "| loads on held-out text | routing by position, layer 0 | layer 1 |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, runs in found.items():
        losses = [each["loss"] for each in runs]
        cells = [
            f"{statistics.mean(losses):.3f} ({min(losses):.3f} to {max(losses):.3f})",
            f"{statistics.median(each['seconds'] for each in runs):.0f}",
        ]
        has_experts = "least_trained" in runs[0]
        for where in ("trained", "held_out"):
            ends = [f"{end}_{where}" for end in ("least", "largest")]
            least, largest = ([each.get(end, 0.0) for each in runs] for end in ends)
            cells.append(f"{min(least):.2f} to {max(largest):.2f}" if has_experts else "")
        for layer in range(LAYERS):
            shares = [each.get(f"by_position_{layer}", 0.0) for each in runs]
            cells.append(f"{statistics.mean(shares):.3f}" if has_experts else "")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(
        [
            *lines,
            "",
            f"Loads are over an even one: the least and the largest of an expert, of both layers "
            f"and all seeds, over {LOOKED_AT[1] * BATCH * T:,} and {LOOKED_AT[0] * BATCH * T:,} "
            f"bytes. The loss of balance has the weight {BALANCE}.",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "The '.*_dataloader' does not have many workers")
    found: dict[str, list[dict[str, float]]] = {name: [] for name in given.only}
    for seed in range(given.seeds):
        for name in given.only:
            found[name].append(run(name, seed, given.steps))
            print(f"{name:<34} seed {seed}  {found[name][-1]}", flush=True)
        written = table(found, given.steps)
        if given.write:
            (RESULTS / "experts.md").write_text(written)
            (RESULTS / "experts.json").write_text(json.dumps(found, indent=1) + "\n")
    print(written)


if __name__ == "__main__":
    main()
