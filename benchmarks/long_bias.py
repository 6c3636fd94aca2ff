"""What does a bias cost beside no positions at all, and packing and padding beside full sequences?

    python benchmarks/long_bias.py [--lengths 256 512 1024 2048 8192] [--rounds 9] [--only ALiBi]
        [--write]

Width 256, 4 heads, 2 layers, 2048 tokens a batch (one sequence where that is longer), fused AdamW,
float32, one thread. A round takes one training step of NoPE and of each contender, in turns, and
ratios are taken within rounds; times are the processor's. "both ways" is a model that is not
causal, over NoPE's that is not. Padded: lengths uniform from 1 to T, over the same without lengths.
Packed: documents of 1 to T/2 tokens, uniform, that do not see each other, over one document.
"""

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import timing
import torch
from torch import Tensor

from lightning_posenc import Dims, Encoder, positional

OUT = timing.RESULTS / "long_bias.json"
PACKAGES = ("torch",)
WIDTH, HEADS, LAYERS, TOKENS = 256, 4, 2, 2048


class Contender(NamedTuple):
    """A model, what it is compared with, and at most how many times the time that may take."""

    encoding: str
    against: str | None = None
    most: float | None = None
    at: tuple[int, ...] = ()
    causal: bool = True
    batch: str = "full"


CONTENDERS = {
    "NoPE": Contender("NoPE"),
    "ALiBi": Contender("ALiBi", "NoPE", 1.05, (512, 2048, 8192)),
    "Sandwich": Contender("Sandwich", "NoPE"),
    "T5Bias": Contender("T5Bias", "NoPE", 1.5, (2048,)),
    "KERPLELog": Contender("KERPLELog", "NoPE", 2.0, (2048,)),
    "NoPE padded": Contender("NoPE", "NoPE", 1.05, (256,), batch="padded"),
    "NoPE packed": Contender("NoPE", "NoPE", 1.1, (256, 2048), batch="packed"),
    "ALiBi packed": Contender("ALiBi", "NoPE", 1.1, (256, 2048), batch="packed"),
    "NoPE both ways": Contender("NoPE", causal=False),
    "ALiBi both ways": Contender("ALiBi", "NoPE both ways", 2.0, (2048,), causal=False),
}


def documents_of(n_sequences: int, length: int) -> Tensor:
    """(B, T) ids of documents of 1..T/2 tokens."""
    generator = torch.Generator().manual_seed(0)
    size = (n_sequences, length)
    sizes = torch.randint(1, max(length // 2, 1) + 1, size, generator=generator)
    starts = torch.zeros(n_sequences, length + 1, dtype=torch.long)
    starts.scatter_(1, sizes.cumsum(dim=1).clamp(max=length), 1)
    return starts[:, :length].cumsum(dim=1)


def stepper(contender: Contender, length: int) -> Callable[[], None]:
    """One optimizer step after another."""
    torch.manual_seed(0)
    dims = Dims(WIDTH, HEADS, LAYERS, causal=contender.causal)
    options = {} if contender.causal or contender.encoding == "NoPE" else {"form": "symmetric"}
    kind = getattr(positional, contender.encoding)
    model = Encoder(dims, lambda dims: kind(dims, **options))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    n_sequences = max(TOKENS // length, 1)
    x = torch.randn(n_sequences, length, WIDTH)
    told: dict[str, Tensor] = {}
    if contender.batch == "padded":
        generator = torch.Generator().manual_seed(0)
        told["lengths"] = torch.randint(1, length + 1, (n_sequences,), generator=generator)
    elif contender.batch == "packed":
        told["documents"] = documents_of(n_sequences, length)

    def step() -> None:
        optimizer.zero_grad()
        model(x, **told).square().mean().backward()
        optimizer.step()

    return step


def measure(names: list[str], length: int, n_rounds: int) -> dict[str, Any]:
    """The row of a length: milliseconds and ratios by contender."""
    needed = {CONTENDERS[name].against or name for name in names}
    chosen = [name for name in CONTENDERS if name in needed or name in names]
    seconds = timing.rounds({n: stepper(CONTENDERS[n], length) for n in chosen}, n_rounds)
    return {
        "ms": {name: timing.milliseconds(found) for name, found in seconds.items()},
        "ratio": {
            name: timing.ratio(seconds[name], seconds[against])
            for name in chosen
            if (against := CONTENDERS[name].against)
        },
        "rounds": dict.fromkeys(chosen, n_rounds),
        **timing.setting(*PACKAGES),
    }


def page(rows: dict[str, dict[str, Any]]) -> str:
    rows = dict(sorted(rows.items(), key=lambda row: int(row[0])))
    lines = [
        "# Time of a training step with a bias, with padding and with packed documents",
        "",
        f"{timing.command()}; {timing.described(timing.setting(*PACKAGES))}; one thread, "
        "processor time.",
        "",
        *(line for line in (__doc__ or "").split("\n\n")[2].splitlines() if line),
        "",
        "ms a step, and the ratio: median (quartiles). In bold what exceeds its goal.",
        "",
        f"| contender | over | goal | {' | '.join(rows)} |",
        f"|---|---|---|{'---|' * len(rows)}",
    ]
    for name, contender in CONTENDERS.items():
        cells = []
        for length, row in rows.items():
            if name not in row["ms"]:
                cells.append("")
                continue
            cell = f"{row['ms'][name]:.0f} ms"
            if name in row["ratio"]:
                found = timing.Ratio(*row["ratio"][name])
                missed = contender.most and int(length) in contender.at
                missed = missed and found.median > contender.most
                cell += f", **{found}**" if missed else f", {found}"
            cells.append(cell)
        if any(cells):
            at = " ".join(map(str, contender.at))
            goal = "" if contender.most is None else f"{contender.most:g} at {at}"
            lines.append(f"| {name} | {contender.against or ''} | {goal} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lengths", nargs="*", type=int, default=[256, 512, 1024, 2048, 8192])
    parser.add_argument("--rounds", type=int, default=9, help="at least 2")
    parser.add_argument("--only", nargs="*", default=list(CONTENDERS), choices=list(CONTENDERS))
    parser.add_argument("--smoke", action="store_true", help="64 tokens, 2 rounds")
    parser.add_argument("--write", action="store_true", help=f"keep results/{OUT.name}")
    args = parser.parse_args()
    torch.set_num_threads(1)
    timing.silence()
    lengths, n_rounds = ([64], 2) if args.smoke else (args.lengths, args.rounds)
    rows = timing.read(OUT) if args.write else {}
    for length in lengths:
        row = measure(args.only, length, n_rounds)
        before = rows.get(str(length), {})
        kept = {key: {**before.get(key, {}), **row[key]} for key in ("ms", "ratio", "rounds")}
        rows[str(length)] = {**row, **kept}
        for name, ms in row["ms"].items():
            found = row["ratio"].get(name)
            print(f"{length:6} {name:18}{ms:8.0f} ms  {found or ''}", flush=True)
        if args.write:
            timing.write(OUT, rows, page(rows))
    print(page(rows))


if __name__ == "__main__":
    main()
