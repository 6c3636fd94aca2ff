"""Does SSMax keep attention from spreading over longer sequences, and does retrieval gain by it?

    python benchmarks/dilution.py --write

Causal models (2 layers, width 64) of two tasks that are solved by finding one token again. Recall:
AssociativeRecall, trained at 32 tokens, tested up to 4 times that, RoPE with and without SSMax.
Passkey of one digit: trained at 48 tokens, tested up to 8 times that, with RoPE and with BAM, each
with and without SSMax. With three digits it tests another thing, the order in which they are said,
which none of the models learned in this time (docs/log.md). The slope is the growth of a head's
entropy over that of uniform attention from the trained length on (1: dilutes as uniform attention
does). Finished runs are kept in results/dilution.json, and not run again; with --write it writes
results/dilution.{md,png} too.
"""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lightning_posenc.data import Batch, SyntheticData
from lightning_posenc.diagnostics import Spread, dilution, observe, spread
from lightning_posenc.model.encoder import EncoderSpec
from lightning_posenc.model.kernels import Operands
from lightning_posenc.modules import TokenClassifier, WarmupCosine, parameter_groups
from lightning_posenc.positional import BAM, Chain, RoPE, SSMax
from lightning_posenc.tasks import IGNORE, AssociativeRecall, Passkey, Task

RESULTS = Path(__file__).parent / "results"
WIDTH, HEADS, LAYERS, BATCH, RATE, STEPS, SEEDS = 64, 4, 2, 32, 3e-3, 900, 3
TESTED, LOOKED = 256, 16  # sequences that are scored, and whose attention is looked at

ENCODINGS: dict[str, Any] = {
    "RoPE": RoPE,
    "RoPE + SSMax": Chain.of(RoPE, SSMax),
    "BAM": BAM,
    "BAM + SSMax": Chain.of(BAM, SSMax),
}


def tasks() -> dict[str, tuple[Task, int, tuple[int, ...], tuple[str, ...]]]:
    """By name: the task, the trained length, the tested ones in multiples of it, the encodings."""
    recall = AssociativeRecall(n_pairs=4, n_keys=16, n_values=16, power=1.0, random_filler=False)
    return {
        "recall": (recall, 32, (1, 2, 4), ("RoPE", "RoPE + SSMax")),
        "passkey": (Passkey(n_digits=1, n_filler=8), 48, (1, 2, 4, 8), tuple(ENCODINGS)),
    }


def trained(data: SyntheticData, encoding: Any, steps: int, seed: int) -> TokenClassifier:
    """A model after so many steps."""
    torch.manual_seed(seed)
    spec = EncoderSpec(WIDTH, HEADS, LAYERS)
    made = TokenClassifier(spec, data.vocab_size, data.n_classes, causal=True, positional=encoding)
    groups = parameter_groups(made, made.positional, 0.0)
    optimizer = torch.optim.AdamW(groups, lr=RATE, weight_decay=0.1)
    schedule = WarmupCosine(optimizer, steps, warmup_steps=min(20, max(1, steps // 2)))
    data.steps_per_epoch = steps
    for step, batch in enumerate(data.train_dataloader()):
        loss = made.score(batch, step)[0]
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(made.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return made.eval()


@torch.no_grad()
def tested(made: TokenClassifier, batches: list[Batch]) -> tuple[float, list[Spread]]:
    """Accuracy at one length, and how far each layer spreads there."""
    right = scored = 0
    for index, batch in enumerate(batches):
        _, logits, targets = made.score(batch, index)
        real = targets != IGNORE
        right += int(((logits.argmax(dim=-1) == targets) & real).sum())
        scored += int(real.sum())
    found: list[Spread] = []

    def look(operands: Operands) -> None:
        found.append(spread(operands))

    with observe(made, take_attention=look, take_hidden=lambda x: None):
        made.logits(batches[0].first(LOOKED))
    return right / scored, found


def run(task: str, encoding: str, seed: int, steps: int) -> dict[str, Any]:
    """Train one model and test it at every length."""
    start = time.process_time()
    of, length, times, _ = tasks()[task]
    lengths = [length * n for n in times]
    data = SyntheticData(
        of, train_length=length, eval_lengths=lengths, batch_size=BATCH, seed=seed,
        eval_samples=TESTED,
    )  # fmt: skip
    made = trained(data, ENCODINGS[encoding], steps, seed)
    scores, spreads = zip(
        *(tested(made, list(loader)) for loader in data.test_dataloader()), strict=True
    )
    slopes = [dilution([each[layer] for each in spreads]).tolist() for layer in range(LAYERS)]
    best = [[each[layer].best.amax().item() for layer in range(LAYERS)] for each in spreads]
    return {
        "accuracy": dict(zip(map(str, lengths), scores, strict=True)),
        "slopes": slopes,
        "best": dict(zip(map(str, lengths), best, strict=True)),
        "seconds": time.process_time() - start,
    }


def table(found: dict[str, Any], steps: int) -> str:
    """Means over seeds, with the least and the largest."""
    seconds = sum(each["seconds"] for each in found.values())
    lines = [
        "# Does attention dilute with length?",
        "",
        f"Made by `python benchmarks/dilution.py --write`: causal models, {LAYERS} layers, width "
        f"{WIDTH}, {HEADS} heads, {steps} steps of {BATCH}. Means over seeds, and least to "
        "largest. Slope: growth of a head's entropy over that of uniform attention, mean over the "
        f"heads of the last layer. {seconds:.0f} s of processor time, torch {torch.__version__}, "
        f"{platform.machine()}, 1 thread.",
    ]
    for task, (_, length, times, encodings) in tasks().items():
        heads = [f"{length * n} tokens" for n in times]
        lines += ["", f"## {task}", "", f"| encoding | slope | {' | '.join(heads)} |"]
        lines.append("|---" * (len(heads) + 2) + "|")
        for encoding in encodings:
            runs = of(found, task, encoding)
            if not runs:
                continue
            slopes = [statistics.mean(each["slopes"][-1]) for each in runs]
            cells = [_cell([each["accuracy"][str(length * n)] for each in runs]) for n in times]
            lines.append(f"| {encoding} | {_cell(slopes)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def of(found: dict[str, Any], task: str, encoding: str) -> list[dict[str, Any]]:
    """The runs of one task with one encoding."""
    return [each for key, each in found.items() if key.startswith(f"{task}/{encoding}/")]


def _cell(values: list[float]) -> str:
    return f"{statistics.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def drawn(found: dict[str, Any], file: Path) -> None:
    """Accuracy by length, a line for each encoding."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    for axes, (task, (_, length, times, encodings)) in zip(
        figure.subplots(1, 2, sharey=True), tasks().items(), strict=True
    ):
        lengths = [length * n for n in times]
        for number, encoding in enumerate(encodings):
            runs = [
                [each["accuracy"][str(n)] for n in lengths] for each in of(found, task, encoding)
            ]
            if not runs:
                continue
            columns = list(zip(*runs, strict=True))
            style = "-" if "SSMax" in encoding else "--"
            means = [statistics.mean(column) for column in columns]
            axes.plot(lengths, means, style, marker="o", color=f"C{number}", label=encoding)
            low, high = [min(c) for c in columns], [max(c) for c in columns]
            axes.fill_between(lengths, low, high, color=f"C{number}", alpha=0.12, linewidth=0)
        axes.axvline(length, color="0.8", linewidth=5, zorder=0)
        axes.set_xscale("log", base=2)
        axes.set_xticks(lengths, [str(n) for n in lengths])
        axes.set(xlabel="tokens (grey: trained)", title=task, ylim=(0, 1.05))
        axes.legend(fontsize=7, loc="lower left")
    figure.axes[0].set_ylabel("accuracy")
    figure.savefig(file, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    kept = given.out / "dilution.json"
    whole = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    found = whole.setdefault(f"{given.steps} steps", {})
    for task, (*_, encodings) in tasks().items():
        for encoding in encodings:
            for seed in range(given.seeds):
                key = f"{task}/{encoding}/{seed}"
                if key in found:
                    continue
                found[key] = run(task, encoding, seed, given.steps)
                scores = " ".join(f"{n}: {x:.2f}" for n, x in found[key]["accuracy"].items())
                print(f"{key}  {scores}  {found[key]['seconds']:.0f} s", flush=True)
                if given.write:
                    kept.write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
    print(table(found, given.steps))
    if given.write:
        (given.out / "dilution.md").write_text(table(found, given.steps), "utf-8")
        drawn(found, given.out / "dilution.png")


if __name__ == "__main__":
    main()
