"""Is a training step as fast as a hand-written loop's, x-transformers' and Hugging Face's?

    python benchmarks/peers.py [--rounds 9] [--only RoPE] [--length 256] [--write]

Causal, width 256, 6 layers, 4 heads, length 256, batch 8, 256 tokens, tied weights, the same random
batches, fused AdamW, float32, one thread. Beside each peer stands our model with the peer's own
wiring: its norm, its feed-forward, its biases. A round takes one step of ours, of the peer's and of
the raw loop's without positions; ratios are taken within rounds. Times are the processor's, which
other programs disturb least. `--write` keeps results/peers.md and peers.json, row by row. At
another `--length` the batch has as many tokens, and rows are named by it.
"""

import argparse
import functools
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
import timing
import torch
from peer_models import PAIRS, Contender, Ours, Raw, Sizes
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_posenc.data import Batch
from lightning_posenc.modules import parameter_groups
from lightning_posenc.positional import NoPE
from lightning_posenc.runs.metrics_csv import MetricsCSV

OUT = timing.RESULTS / "peers.json"
PACKAGES = ("torch", "lightning", "x-transformers", "transformers")
TRAINER = "ours in a Trainer"


def batches(sizes: Sizes, n: int) -> list[Batch]:
    generator = torch.Generator().manual_seed(0)
    shape = (n, sizes.batch, sizes.length + 1)
    text = torch.randint(sizes.vocabulary, shape, generator=generator)
    return [Batch(tokens=row[:, :-1].contiguous(), targets=row[:, 1:].contiguous()) for row in text]


def new(make: Callable[[Sizes], Contender], sizes: Sizes) -> Contender:
    torch.manual_seed(0)
    return make(sizes)


def stepper(model: Contender, data: list[Batch]) -> Callable[[], Tensor]:
    """One optimizer step after another, over and over the same batches."""
    groups: Any = model.parameters()
    if isinstance(model, Ours):
        groups = parameter_groups(model.module, model.module.positional, 0.0)
    optimizer = torch.optim.AdamW(groups, lr=0.001, fused=True)
    stream = itertools.cycle(data)

    def step() -> Tensor:
        optimizer.zero_grad()
        loss = model(next(stream))
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def n_parameters(model: Contender) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def measure(name: str, sizes: Sizes, n_rounds: int) -> dict[str, Any]:
    """The row of a pair."""
    data = batches(sizes, 4)
    most, *makes = PAIRS[name]
    ours, peer = (new(make, sizes) for make in makes)
    steps = {"ours": stepper(ours, data), "peer": stepper(peer, data)}
    if PAIRS[name].peer is not Raw:
        steps["raw"] = stepper(new(Raw, sizes), data)
    seconds = timing.rounds(steps, n_rounds)
    parameters = n_parameters(ours), n_parameters(peer)
    return row(parameters, seconds["ours"], seconds["peer"], seconds.get("raw"), most)


class AgainstRaw(L.Callback):
    """Times each step of a fit, and after it a step of the raw loop."""

    def __init__(self, raw_step: Callable[[], Tensor]) -> None:
        self.raw_step = raw_step
        self.ours: list[float] = []
        self.raw: list[float] = []
        self._end: float | None = None

    def on_train_batch_end(self, *args: Any) -> None:
        now = time.process_time()
        self.raw_step()
        if self._end is not None:
            self.ours.append(now - self._end)
            self.raw.append(time.process_time() - now)
        self._end = time.process_time()


def measure_in_trainer(sizes: Sizes, n_rounds: int) -> dict[str, Any]:
    """The row of NoPE by Lightning's loop, logging as every run does, over the raw loop."""
    data = batches(sizes, n_rounds + 1)
    torch.manual_seed(0)
    ours = Ours(sizes, NoPE)
    ours.module.make_optimizer = functools.partial(torch.optim.AdamW, lr=0.001, fused=True)
    raw = new(Raw, sizes)
    timed = AgainstRaw(stepper(raw, data))
    with TemporaryDirectory() as directory:
        trainer = L.Trainer(
            max_epochs=1,
            default_root_dir=directory,
            logger=MetricsCSV(Path(directory)),
            callbacks=[timed],
            accelerator="cpu",
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        trainer.fit(ours.module, DataLoader(data, batch_size=None))
    return row((n_parameters(ours), n_parameters(raw)), timed.ours, timed.raw, None, None)


def row(
    parameters: tuple[int, int],
    ours: list[float],
    peer: list[float],
    raw: list[float] | None,
    most: float | None,
) -> dict[str, Any]:
    """What is kept of one comparison; without `raw` the peer is the raw loop."""
    return {
        "rounds": len(ours),
        "parameters": parameters,
        "ms": [timing.milliseconds(ours), timing.milliseconds(peer)],
        "ours / peer": timing.ratio(ours, peer),
        "peer / raw": None if raw is None else timing.ratio(peer, raw),
        "most": most,
        **timing.setting(*PACKAGES),
    }


def page(rows: dict[str, dict[str, Any]]) -> str:
    lines = [
        "# Time of a training step beside other people's code",
        "",
        f"{timing.command()}; {timing.described(timing.setting(*PACKAGES))}; one thread "
        "(`torch.set_num_threads(1)`), processor time. Medians (quartiles) of the ratios of steps "
        "within a round; ms are medians of all rounds on a machine that others were using, so read "
        "the ratios.",
        "",
        *(line for line in (__doc__ or "").split("\n\n")[2].splitlines() if line),
        "",
        "| encoding, peer | parameters, ours | peer | ms, ours | peer | ours / peer | at most "
        "| peer / raw loop | rounds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        against, over = row["ours / peer"], row["peer / raw"]
        most = row["most"]
        verdict = "" if most is None else f"{most:.2f}{'' if against[0] <= most else ' exceeded'}"
        lines.append(
            f"| {name} | {row['parameters'][0]:,} | {row['parameters'][1]:,} "
            f"| {row['ms'][0]:.0f} | {row['ms'][1]:.0f} | {timing.Ratio(*against)} | {verdict} "
            f"| {'' if over is None else timing.Ratio(*over)} | {row['rounds']} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="at least 2")
    parser.add_argument("--only", nargs="*", default=[], help="parts of rows' names")
    parser.add_argument("--length", type=int, default=Sizes().length, help="tokens of a sequence")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, 2 rounds")
    parser.add_argument("--write", action="store_true", help=f"keep results/{OUT.name}")
    args = parser.parse_args()
    torch.set_num_threads(1)
    timing.silence()
    usual = Sizes()
    n_sequences = max(usual.length * usual.batch // args.length, 1)
    sizes, n_rounds = usual._replace(length=args.length, batch=n_sequences), args.rounds
    if args.smoke:
        sizes, n_rounds = Sizes(32, 2, 2, 16, 2, 16), 2
    in_trainer = f"NoPE {TRAINER}, raw loop"
    rows = timing.read(OUT) if args.write else {}
    for name in (*PAIRS, in_trainer):
        if args.only and not any(part in name for part in args.only):
            continue
        title = name if args.length == usual.length else f"{name}, {args.length} tokens"
        if name == in_trainer:
            rows[title] = measure_in_trainer(sizes, n_rounds)
        else:
            rows[title] = measure(name, sizes, n_rounds)
        print(f"{title:48}{timing.Ratio(*rows[title]['ours / peer'])}", flush=True)
        if args.write:
            timing.write(OUT, rows, page(rows))
    print(page(rows))


if __name__ == "__main__":
    main()
