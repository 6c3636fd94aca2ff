"""Does a model whose positions were dropped read longer text than one that keeps them?

    python benchmarks/drope.py --write

Causal language models on the bytes of Python's documentation, trained at 128 tokens with RoPE. Each
is then gone on with for a twentieth, a fifth or a half of the steps, warmed up anew, in several
ways: as it is, with YaRN, or with its positions dropped (DroPE, Gelberg et al. 2025,
arXiv:2512.12167), at 128 tokens or at 512. Another never has positions. All are tested on the same
held-out text in blocks of several lengths: the loss of all tokens, and of those that lie past 128.
With --write it writes results/drope.{json,md}, seed by seed, and goes on after what it finds there.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import nn
from torch.nn import functional as F

from lightning_posenc.data import Batch, TextData
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import LanguageModel, WarmupCosine, parameter_groups
from lightning_posenc.positional import Droppable, NoPE, RoPE
from lightning_posenc.positional.rotary.scaling import YaRN

RESULTS = Path(__file__).parent / "results"
SHORT, LONG, TESTED = 128, 512, (128, 512, 1024)
TOKENS = 1024  # of a batch, at every length
TESTED_TOKENS = 16384
SHARES = (0.05, 0.2, 0.5)
NEVER = "NoPE from the start"
YARN = partial(RoPE, scaling=YaRN(LONG / SHORT, SHORT))


class Texts(NamedTuple):
    """The same text in blocks of the short length and of the long one."""

    short: TextData
    long: TextData


class Way(NamedTuple):
    """How a trained model is gone on with, and read.

    Args:
        encoding: In place of the one it was trained with.
        drops: Whether that is dropped.
        length: At which it is trained on; None for not at all.
        reads: With which it is tested; None for the same.
    """

    encoding: Any = RoPE
    drops: bool = False
    length: int | None = SHORT
    reads: Any = None


WAYS = {
    "RoPE, unchanged": Way(length=None),
    "RoPE, at 128": Way(),
    "RoPE, at 128, read with YaRN": Way(reads=YARN),
    "RoPE, at 512": Way(length=LONG),
    "YaRN, at 512": Way(YARN, length=LONG),
    "dropped, at 128": Way(drops=True),
    "dropped, at 512": Way(drops=True, length=LONG),
    "dropped, not trained on": Way(drops=True, length=None),
}


def model(encoding: Any, width: int, layers: int) -> LanguageModel:
    """A causal language model of bytes, whose encoding can be dropped."""
    spec = EncoderSpec(d_model=width, n_heads=4, n_layers=layers)
    return LanguageModel(spec, 256, positional=Droppable.of(encoding))


def go_on(made: LanguageModel, data: TextData, steps: int, seed: int, rate: float) -> None:
    """Train for some steps, from a warm-up to a rate of 0."""
    made.train()
    optimizer = torch.optim.AdamW(parameter_groups(made, made.positional, 0.1), lr=rate)
    schedule = WarmupCosine(optimizer, steps, warmup_steps=max(1, steps // 10))
    for step, batch in enumerate(_batches(data, steps, seed)):
        loss, _, _ = made.score(batch, step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(made.parameters(), 1.0)
        optimizer.step()
        schedule.step()


def _batches(data: TextData, steps: int, seed: int) -> Iterator[Batch]:
    """Blocks of the training text, drawn without repetition until all were seen."""
    blocks = cast(Any, data.train_dataloader()).dataset
    draw = torch.Generator().manual_seed(seed)
    order = torch.cat([torch.randperm(len(blocks), generator=draw) for _ in range(2)])
    size = TOKENS // data.train_length
    for step in range(steps):
        places = torch.arange(step * size, (step + 1) * size) % len(order)
        yield blocks.__getitems__(order[places].tolist())


@torch.no_grad()
def bits(made: LanguageModel, data: TextData, n_tokens: int) -> dict[str, list[float]]:
    """Bits a byte at each tested length: of all tokens, and of those past the trained length."""
    made.eval()
    found = {}
    for length, loader in zip(TESTED, data.test_dataloader(), strict=True):
        blocks = loader.dataset
        losses = []
        for start in range(0, n_tokens // length, size := max(1, TOKENS // length)):
            last = min(start + size, n_tokens // length)
            batch = blocks.__getitems__(list(range(start, last)))
            _, logits, targets = made.score(batch, 0)
            losses.append(F.cross_entropy(logits.transpose(1, 2), targets, reduction="none"))
        by_token = torch.cat(losses) / torch.log(torch.tensor(2.0))
        past = by_token[:, SHORT:]
        found[str(length)] = [float(x.mean()) for x in (by_token, past) if x.numel()]
    return found


def measured(args: argparse.Namespace, seed: int, texts: Texts, known: dict[str, Any]) -> None:
    """One seed: a model, and what becomes of it in each way; what is known is left."""
    if NEVER not in known:
        never = trained(NoPE, args, seed, texts)
        known[NEVER] = bits(never, texts.short, args.tested_tokens)
        print(f"seed {seed}  {NEVER:30}", known[NEVER], flush=True)
    missing = [share for share in args.shares if str(share) not in known]
    base = trained(RoPE, args, seed, texts) if missing else None
    for share in missing:
        known[str(share)] = gone_on(cast(LanguageModel, base), args, share, seed, texts)


def trained(encoding: Any, args: argparse.Namespace, seed: int, texts: Texts) -> LanguageModel:
    """A model after all steps at the short length."""
    torch.manual_seed(seed)
    made = model(encoding, args.width, args.layers)
    go_on(made, texts.short, args.steps, seed, args.rate)
    return made


def gone_on(
    base: LanguageModel, args: argparse.Namespace, share: float, seed: int, texts: Texts
) -> dict[str, Any]:
    """What is read after so large a share of the steps more, by way."""
    recalibration = max(1, round(args.steps * share))
    found: dict[str, Any] = {}
    states: dict[Way, Any] = {}
    for name, way in WAYS.items():
        if (key := way._replace(reads=None)) not in states:
            made = model(way.encoding, args.width, args.layers)
            made.load_state_dict(base.state_dict())
            if way.drops:
                cast(Droppable, made.positional).drop()
            if way.length is not None:
                text = texts.short if way.length == SHORT else texts.long
                go_on(made, text, recalibration, seed + 1000, args.rate)
            states[key] = deepcopy(made.state_dict())
        made = model(way.reads or way.encoding, args.width, args.layers)
        made.load_state_dict(states[key])
        found[name] = bits(made, texts.short, args.tested_tokens)
        print(f"seed {seed}  {share:4}  {name:30}", found[name], flush=True)
    return found


def page(kept: dict[str, Any]) -> str:
    """Means over seeds, with the least and the largest."""
    seeds = kept["seeds"]
    heads = [f"{n}" if n <= SHORT else f"{n}, past {SHORT}" for n in TESTED]
    said = ", ".join(f"{name} {value}" for name, value in kept["sizes"].items())
    lines = [
        "# Positions that are dropped after training (DroPE)",
        "",
        f"Made by `python benchmarks/drope.py --write`: {said}; {len(seeds)} seeds; trained at "
        f"{SHORT} tokens. Bits a byte of held-out text in blocks of a length, and there of the "
        f"tokens past the trained length alone: mean, and least to largest. "
        f"{kept['seconds']:.0f} s of processor time, torch {torch.__version__}, "
        f"{platform.machine()}, 1 thread.",
    ]
    shares = sorted({share for of in seeds.values() for share in of if share != NEVER}, key=float)
    for share in shares:
        known = [of for of in seeds.values() if share in of]
        rows = {name: [of[share][name] for of in known] for name in WAYS}
        rows[NEVER] = [of[NEVER] for of in known if NEVER in of]
        lines += [
            "",
            f"## Gone on with for {float(share):.0%} of the steps",
            "",
            "| after training | " + " | ".join(heads) + " |",
            "|---|" + "---|" * len(TESTED),
        ]
        for name, of_seeds in rows.items():
            cells = [_cell([of[str(length)][-1] for of in of_seeds]) for length in TESTED]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(values: list[float]) -> str:
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument(
        "--shares", type=float, nargs="+", default=SHARES, help="of the steps, after the drop"
    )
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--tested_tokens", type=int, default=TESTED_TOKENS)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    sizes = {k: v for k, v in vars(args).items() if k not in ("seeds", "shares", "write")}
    file = RESULTS / "drope.json"
    kept: dict[str, Any] = {"sizes": sizes, "seconds": 0.0, "seeds": {}}
    if args.write and file.exists() and (old := json.loads(file.read_text()))["sizes"] == sizes:
        kept = old
    made = (
        TextData("python_docs", train_length=length, eval_lengths=list(TESTED), batch_size=1)
        for length in (SHORT, LONG)
    )
    texts = Texts(*made)
    for data in texts:
        data.prepare_data()
        data.setup("fit")
    for seed in range(args.seeds):
        begun = time.process_time()
        measured(args, seed, texts, kept["seeds"].setdefault(str(seed), {}))
        kept["seconds"] += time.process_time() - begun
        if args.write:
            file.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
            (RESULTS / "drope.md").write_text(page(kept), "utf-8")
    print(page(kept))


if __name__ == "__main__":
    main()
