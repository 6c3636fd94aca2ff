"""Do planes that finish no turn within the trained length tell which model fails beyond it?

    python benchmarks/unfinished_turns.py --write

Causal models, half of whose channels turn (RoPE), of several bases and trained lengths, learn to
recall: the first half of a sequence is different symbols in random order, the second half are
blocks of 8 copied from random places of the first. What follows the first symbol of a block is to
be said, from as far away as the sequence is long. Lengths are drawn up to the trained one. Training
ends when 99 % of it is right; a model that does not come so far is left out. All was fixed before
the models were made:

- the predictor: `turns/unfinished`, mean over layers and heads, measured at the trained length
  alone (the doctor's number 19);
- the failure: loss at twice the trained length less that at the trained length, in nats;
- the judgement: Spearman's rank correlation of the two over all models.

For comparison, and to be read as such: the bare count of such planes, and the shares weighted by
how many new angles twice the length brings (`new_angles`). With --write it goes on where it stopped
and keeps results/unfinished_turns.{json,md,png}.
"""

import argparse
import json
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

import timing
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torchmetrics.functional import spearman_corrcoef

from lightning_posenc.data import Batch
from lightning_posenc.diagnostics import observe
from lightning_posenc.diagnostics.measures.rotary_bands import band_use
from lightning_posenc.diagnostics.measures.unfinished_turns import new_angles, unfinished_share
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import TokenClassifier, WarmupCosine, parameter_groups
from lightning_posenc.positional import PartialRoPE
from lightning_posenc.tasks import IGNORE

RESULTS = Path(__file__).parent / "results"
BASES, LENGTHS = (10.0, 100.0, 1e4, 1e6), (64, 128, 256, 512)
WIDTH, HEADS, LAYERS, VOCABULARY, BLOCK = 64, 4, 2, 512, 8
SHORTEST = 16  # tokens
FRACTION = 0.5  # of a head's channels turn: with the lowest base, content needs some that do not
TOKENS, STEPS, RATE, LEARNED, CHECK, SCORED = 2048, 1500, 3e-3, 0.99, 50, 64
PREDICTORS = ("unfinished", "new angles", "count")


def sequences(n: int, length: int, generator: torch.Generator) -> Batch:
    """Different symbols, then blocks of them; targets (n, length) where one tells the next."""
    half = length // 2
    first = torch.stack([torch.randperm(VOCABULARY, generator=generator)[:half] for _ in range(n)])
    starts = torch.randint(half - BLOCK + 1, (n, half // BLOCK, 1), generator=generator)
    second = first.gather(1, (starts + torch.arange(BLOCK)).flatten(1))
    tokens = torch.cat((first, second), dim=1)
    targets = torch.full_like(tokens, IGNORE)
    targets[:, half:-1] = tokens[:, half + 1 :]
    targets[:, half + BLOCK - 1 :: BLOCK] = IGNORE  # nothing tells which block comes next
    return Batch(tokens, targets)


def trained(base: float, length: int, seed: int, steps: int) -> tuple[TokenClassifier, int, float]:
    """A model, its steps, and the share of right answers when it ended."""
    torch.manual_seed(seed)
    spec = EncoderSpec(WIDTH, HEADS, LAYERS)
    model = TokenClassifier(
        spec,
        VOCABULARY,
        VOCABULARY,
        causal=True,
        positional=partial(PartialRoPE, fraction=FRACTION, base=base),
    )
    optimizer = torch.optim.AdamW(parameter_groups(model, model.positional, 0.0), lr=RATE)
    schedule = WarmupCosine(optimizer, steps, warmup_steps=50)
    generator = torch.Generator().manual_seed(seed)
    right, step = [0.0], 0
    for step in range(1, steps + 1):
        # Of all lengths up to the trained one, so that failing is not for want of having seen two.
        now = SHORTEST * int(torch.randint(1, length // SHORTEST + 1, (), generator=generator))
        batch = sequences(TOKENS // now, now, generator)
        loss, logits, targets = model.score(batch, step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        real = targets != IGNORE
        right.append(float((logits.argmax(-1) == targets)[real].float().mean()))
        if step % CHECK == 0 and statistics.mean(right[-CHECK:]) >= LEARNED:
            break
    return model.eval(), step, statistics.mean(right[-CHECK:])


@torch.no_grad()
def loss_at(model: TokenClassifier, length: int) -> tuple[float, float]:
    """Loss in nats and share of right answers, on sequences that no model was trained on."""
    generator = torch.Generator().manual_seed(1_000_000)
    losses: list[float] = []
    rights: list[float] = []
    for _ in range(max(1, SCORED * length // (8 * TOKENS))):
        batch = sequences(8 * TOKENS // length, length, generator)
        loss, logits, targets = model.score(batch, 0)
        real = targets != IGNORE
        losses.append(float(loss))
        rights.append(float((logits.argmax(-1) == targets)[real].float().mean()))
    return statistics.mean(losses), statistics.mean(rights)


@torch.no_grad()
def predicted(model: TokenClassifier, length: int) -> dict[str, float]:
    """The predictors, of sequences of the trained length."""
    batch = sequences(8, length, torch.Generator().manual_seed(2_000_000))
    with observe(model.encoder) as seen:
        model.score(batch, 0)
    found: dict[str, list[Tensor]] = {name: [] for name in PREDICTORS}
    for layer, operands in zip(seen.layers, seen.attention, strict=True):
        planes = seen.planes[layer]
        shares = band_use(operands, planes).shares
        found["unfinished"].append(unfinished_share(shares, planes).mean())
        found["new angles"].append(new_angles(shares, planes).mean())
        found["count"].append(planes.unfinished.float().mean())
    return {name: round(float(torch.stack(values).mean()), 5) for name, values in found.items()}


def measure(base: float, length: int, seed: int, steps: int) -> dict[str, Any]:
    """All of one model."""
    begun = time.process_time()
    model, taken, right = trained(base, length, seed, steps)
    (at, right_at), (beyond, right_beyond) = (loss_at(model, n) for n in (length, 2 * length))
    return {
        "base": base, "length": length, "seed": seed, "steps": taken,
        "learned": right >= LEARNED, "right in training": round(right, 4),
        "loss": round(at, 4), "accuracy": round(right_at, 4),
        "loss at twice": round(beyond, 4), "accuracy at twice": round(right_beyond, 4),
        "failure": round(beyond - at, 4), "predicted": predicted(model, length),
        "seconds": round(time.process_time() - begun, 1),
    }  # fmt: skip


def correlation(models: list[dict[str, Any]], name: str) -> float:
    """Spearman's, of a predictor and the failure."""
    predictions = torch.tensor([each["predicted"][name] for each in models])
    return float(spearman_corrcoef(predictions, torch.tensor([m["failure"] for m in models])))


def page(found: list[dict[str, Any]]) -> str:
    """The table, and what is concluded."""
    models = [each for each in found if each["learned"]]
    lines = [
        "# Unfinished turns and failure beyond the trained length",
        "",
        f"{timing.command()}; {timing.described(timing.setting('torch'))}. {len(models)} of "
        f"{len(found)} models learned the task; {sum(m['seconds'] for m in found):.0f} s.",
        "",
        "| base | trained length | steps | accuracy | at twice | loss more, nats | unfinished "
        "| new angles | count |",
        "|---" * 9 + "|",
    ]
    for each in found:
        numbers = [each["predicted"][name] for name in PREDICTORS]
        lines.append(
            f"| {each['base']:g} | {each['length']} | {each['steps']}"
            f"{'' if each['learned'] else ', not learned'} | {each['accuracy']:.3f} | "
            f"{each['accuracy at twice']:.3f} | {each['failure']:.3f} | "
            + " | ".join(f"{number:.3f}" for number in numbers)
            + " |"
        )
    if len(models) > 2:
        own, *others = (f"{correlation(models, name):.2f}" for name in PREDICTORS)
        lines += [
            "",
            f"Spearman's rank correlation of the unfinished share with the loss that twice the "
            f"length adds: {own}. For comparison: new angles {others[0]}, count {others[1]}.",
            "",
            "![failure against the predictor](unfinished_turns.png)",
        ]
    return "\n".join(lines) + "\n"


def draw(found: list[dict[str, Any]], file: Path) -> None:
    """Failure against the predictor, a colour for each base, a marker for each length."""
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    for each in found:
        if each["learned"]:
            colour, marker = BASES.index(each["base"]), "os^D"[LENGTHS.index(each["length"])]
            axes.scatter(
                each["predicted"]["unfinished"], each["failure"], color=f"C{colour}", marker=marker,
                label=f"base {each['base']:g}, {each['length']} tokens",
            )  # fmt: skip
    axes.set_xlabel("share of the logits' variance in planes that finish no turn, at the length")
    axes.set_ylabel("loss that twice the length adds, nats")
    figure.legend(fontsize=7, loc="outside right center")
    figure.savefig(file, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bases", type=float, nargs="+", default=BASES)
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--steps", type=int, default=STEPS, help="at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="keep results, and go on from them")
    given = parser.parse_args()
    torch.set_num_threads(1)
    kept = RESULTS / "unfinished_turns.json"
    found: list[dict[str, Any]] = []
    if given.write and kept.exists():
        found = json.loads(kept.read_text("utf-8"))["models"]
    done = {(each["base"], each["length"], each["seed"]) for each in found}
    for length in given.lengths:
        for base in given.bases:
            if (base, length, given.seed) in done:
                continue
            found.append(measure(base, length, given.seed, given.steps))
            print(found[-1], flush=True)
            if given.write:
                record = {"command": "python benchmarks/unfinished_turns.py --write"}
                kept.write_text(json.dumps(record | {"models": found}, indent=1) + "\n", "utf-8")
    text = page(found)
    print(text)
    if given.write:
        (RESULTS / "unfinished_turns.md").write_text(text, "utf-8")
        draw(found, RESULTS / "unfinished_turns.png")


if __name__ == "__main__":
    main()
