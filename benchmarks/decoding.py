"""Is greedy decoding as fast as Hugging Face's `generate`, and does a token's time stay the same?

    python benchmarks/decoding.py [--rounds 5] [--only RoPE] [--new 256 1024 4096]
        [--width 256] [--layers 6] [--write]

Width 256, 6 layers, 4 heads, 256 tokens, one prompt of 64, random weights, float32, one thread. A
round decodes by ours and by the peer, of the same wiring; ratios are taken within rounds. Times are
the processor's. A token's time is the median of the 64 steps up to a length, after a prompt of what
comes before; attention's own is what of it passes in torch's fused kernel, in all layers. A round
takes the steps up to 256 and up to 4160 tokens in turns. Memory is that of the cache over that of
keys and values. `--write` keeps results/decoding.md and decoding.json, row by row; `--new` without
a number leaves the decoding that they tell of as it is.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from unittest import mock

import timing
import torch
from peer_models import PAIRS, Sizes
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.modules import LanguageModel, greedy
from lightning_posenc.modules.stepwise import Stepwise

OUT = timing.RESULTS / "decoding.json"
PACKAGES = ("torch", "transformers")
MOST = 0.8  # of the peer's time
FLAT = 1.3  # of a token's time at the shortest length, but for attention's
NAMES = {
    "LearnedAbsolute, GPT-2": "LearnedAbsolute, Hugging Face GPT-2",
    "RoPE, Llama": "RoPE, Hugging Face Llama",
    "ALiBi, BLOOM": "ALiBi, Hugging Face BLOOM",
}


class Lengths(NamedTuple):
    """Tokens of the prompt, and of what follows."""

    prompt: int
    new: int

    @property
    def all(self) -> int:
        """T."""
        return self.prompt + self.new


def models(name: str, sizes: Sizes) -> tuple[LanguageModel, Any]:
    """Ours and the peer's, in evaluation mode."""
    pair = PAIRS[NAMES[name]]
    ours: Any = pair.ours(sizes)
    peer: Any = pair.peer(sizes)
    return ours.module.eval(), peer.model.eval()


def decoders(name: str, sizes: Sizes, lengths: Lengths) -> dict[str, Callable[[], Tensor]]:
    """What continues the same prompt, by ours and by the peer's model."""
    ours, peer = models(name, sizes._replace(length=lengths.all))
    prompt = torch.randint(sizes.vocabulary, (1, lengths.prompt))
    exactly = {"max_new_tokens": lengths.new, "min_new_tokens": lengths.new}
    return {
        "ours": lambda: greedy(ours, prompt, length=lengths.all),
        "peer": lambda: peer.generate(prompt, do_sample=False, pad_token_id=0, **exactly),
    }


class Step(NamedTuple):
    """Seconds of one step, and those of them that passed in torch's fused attention."""

    all: float
    attention: float


def steps(model: LanguageModel, length: int, window: int) -> tuple[list[Step], int]:
    """The last steps up to a length, after a prompt of what comes before, and bytes of the cache in
    the end.
    """
    said = torch.randint(model.vocab_size, (1, length))
    embedding: Any = model.embedding
    step = Stepwise(model.encoder, embedding, model.scores, 1, length)
    fused, found, within = F.scaled_dot_product_attention, [], [0.0]

    def watched(*args: Any, **options: Any) -> Tensor:
        start = time.process_time()
        out: Tensor = fused(*args, **options)
        within[0] += time.process_time() - start
        return out

    with torch.inference_mode(), mock.patch.object(F, fused.__name__, watched):
        step(said[:, : length - window])
        for now in range(length - window + 1, length + 1):
            within[0], start = 0.0, time.process_time()
            step(said[:, :now])
            found.append(Step(time.process_time() - start, within[0]))
    assert step.cache is not None
    return found, step.cache.n_bytes


def by_length(name: str, sizes: Sizes, ends: list[int], window: int, n: int) -> dict[str, Any]:
    """A token's time at both ends of what is decoded, attention's in it, and the cache's memory."""
    model, _ = models(name, sizes._replace(length=max(ends)))
    steps(model, min(ends), window)
    taken: dict[int, list[list[float]]] = {end: [] for end in ends}
    n_bytes = 0
    for number in range(n):
        for end in ends[:: 1 if number % 2 else -1]:
            found, used = steps(model, end, window)
            n_bytes = max(used, n_bytes)
            each = zip(*((s.all, s.attention, s.all - s.attention) for s in found), strict=True)
            taken[end].append([statistics.median(seconds) for seconds in each])
    tokens, others = [], []
    for end, of_rounds in taken.items():
        every, own, rest = zip(*of_rounds, strict=True)
        ms, attention = timing.milliseconds(every), timing.milliseconds(own)
        tokens.append({"length": end, "ms": ms, "attention": attention})
        others.append(list(rest))
    kept = 2 * sizes.layers * max(ends) * sizes.width * 4
    flat = timing.ratio(others[1], others[0])
    return {"tokens": tokens, "flat": flat, "rounds": n, "memory": n_bytes / kept}


def page(rows: dict[str, dict[str, Any]]) -> str:
    lines = [
        "# Time of greedy decoding beside Hugging Face's",
        "",
        f"{timing.command()}; {timing.described(timing.setting(*PACKAGES))}.",
        "",
        *(line for line in (__doc__ or "").split("\n\n")[2].splitlines() if line),
        "",
        "| encoding, peer | tokens | ms a token, ours | peer | ours / peer | at most | rounds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        for length, against in row["decoding"].items():
            ratio = timing.Ratio(*against["ratio"])
            verdict = f"{MOST:.2f}{'' if ratio.median <= MOST else ' exceeded'}"
            ours, peer = against["ms"]
            lines.append(
                f"| {name} | {length} | {ours:.2f} | {peer:.2f} | {ratio} | {verdict} "
                f"| {against['rounds']} |"
            )
    lines += [
        "",
        "| encoding | at token | ms | attention's | at token | ms | attention's "
        "| the rest grows by | at most | rounds | memory / (keys + values) |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        found = row["by length"]
        cells = " | ".join(
            f"{each['length']} | {each['ms']:.2f} | {each['attention']:.2f}"
            for each in found["tokens"]
        )
        ratio = timing.Ratio(*found["flat"])
        verdict = f"{FLAT}{'' if ratio.median <= FLAT else ' exceeded'}"
        lines.append(
            f"| {name} | {cells} | {ratio} | {verdict} | {found['rounds']} "
            f"| {found['memory']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="at least 2")
    parser.add_argument("--new", type=int, nargs="*", default=[256, 1024, 4096])
    parser.add_argument("--only", nargs="*", default=[], help="parts of rows' names")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, 2 rounds")
    parser.add_argument("--write", action="store_true", help=f"keep results/{OUT.name}")
    args = parser.parse_args()
    torch.set_num_threads(1)
    timing.silence()
    if args.write and (args.width, args.layers) != (256, 6):
        parser.error("--write keeps what is measured at width 256 and 6 layers")
    sizes, n_prompt, window = Sizes(args.width, args.layers, args.width // 64, batch=1), 64, 64
    ends = [256, 4160]
    if args.smoke:
        sizes, n_prompt, window = Sizes(32, 2, 2, 16, 1, 16), 4, 4
        args.rounds, args.new, ends = 2, [12, 16], [16, 20]
    rows = timing.read(OUT) if args.write else {}
    for name in NAMES:
        if args.only and not any(part in name for part in args.only):
            continue
        torch.manual_seed(0)
        against = dict(rows[name]["decoding"]) if name in rows else {}
        for new in args.new:
            seconds = timing.rounds(decoders(name, sizes, Lengths(n_prompt, new)), args.rounds)
            ours, peer = seconds["ours"], seconds["peer"]
            found = against[f"{n_prompt} + {new}"] = {
                "ms": [timing.milliseconds(ours) / new, timing.milliseconds(peer) / new],
                "ratio": timing.ratio(ours, peer),
                "rounds": args.rounds,
            }
            print(f"{name:24}{n_prompt} + {new:<6}{found['ratio']}", flush=True)
        rows[name] = {
            "decoding": against,
            "by length": by_length(name, sizes, ends, window, args.rounds),
            **timing.setting(*PACKAGES),
        }
        if args.write:
            timing.write(OUT, rows, page(rows))
    print(page(rows))


if __name__ == "__main__":
    main()
