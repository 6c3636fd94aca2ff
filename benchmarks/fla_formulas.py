"""Are FoX, PaTH and Retention flash-linear-attention's, and as fast as its formulas on a CPU?

    pip install --no-deps fla-core einops
    python benchmarks/fla_formulas.py [--rounds 9] [--length 256 1024] [--write]

Its kernels want Triton and a GPU; beside each lies the formula in plain torch, which is read from
its own file here, for the package cannot be imported without Triton. A layer of width 256 and 4
heads, causal, 8 x 256 tokens, float32, one thread: ours against the same projections around the
formula, forward and backward, gradients compared too. A round takes one step of each; ratios are
taken within rounds. `--write` keeps results/fla_formulas.md.
"""

import argparse
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import timing
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc import Dims, Encoder
from lightning_posenc.model.mixers import Attention, Retention
from lightning_posenc.positional import FoX, NoPE, PaTH

OUT = timing.RESULTS / "fla_formulas.md"
N_TOKENS = 2048
Formula = Callable[..., Any]


def formula(op: str, name: str) -> Formula:
    """A function of `fla/ops/<op>/naive.py`."""
    package = importlib.util.find_spec("fla")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("error: pip install --no-deps fla-core einops")
    path = Path(package.submodule_search_locations[0], "ops", op, "naive.py")
    spec = importlib.util.spec_from_file_location(f"naive_{op}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Formula = getattr(module, name)
    return found


class Theirs(nn.Module, ABC):
    """The layer of an encoder, around their formula.

    Args:
        encoder: Of one layer, whose weights are used.
    """

    where: ClassVar[tuple[str, str]]
    """The formula's folder and name."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.run = formula(*self.where)

    def forward(self, x: Tensor) -> Tensor:
        block: Any = self.encoder.blocks[0]
        x = x + self.mixed(block.attention, block.norm_attention(x))
        x = x + block.feed_forward(block.norm_feed_forward(x))
        return self.encoder.norm(x)

    @abstractmethod
    def mixed(self, mixer: Any, x: Tensor) -> Tensor:
        """What the mixer makes of (B, T, D)."""


class TheirFoX(Theirs):
    """Softmax attention with a forget gate."""

    where = ("forgetting_attn", "naive_forgetting_attn")

    def mixed(self, mixer: Any, x: Tensor) -> Tensor:
        positional: Any = self.encoder.positional
        q, k, v = (each.transpose(1, 2) for each in mixer.qkv.heads(x, mixer.d_head))
        gates = F.logsigmoid(F.linear(x, positional.weight[0], positional.gate_bias[0]))
        return mixer.out(self.run(q, k, v, gates).flatten(-2))


class TheirPaTH(Theirs):
    """A path of Householder reflections."""

    where = ("path_attn", "naive_path_attn")

    def mixed(self, mixer: Any, x: Tensor) -> Tensor:
        positional: Any = self.encoder.positional
        q, k, v = (each.transpose(1, 2) for each in mixer.qkv.heads(x, mixer.d_head))
        w, beta = positional.reflections(x, None, 0)
        w, beta = w.transpose(1, 2), beta.squeeze(-1).transpose(1, 2)
        free = x.new_zeros(*x.shape[:2], q.shape[2])
        mixed = self.run(q, k, v, w, beta, free, mixer.d_head**-0.5)
        return mixer.out(mixed.flatten(-2))


class TheirRetention(Theirs):
    """A retention layer."""

    where = ("retention", "naive_retention")

    def mixed(self, mixer: Any, x: Tensor) -> Tensor:
        q, k, v, gate = mixer.qkvg.heads(x, mixer.dims.d_head)
        mixed = self.run(q, k, v)
        mixed = F.silu(gate) * F.layer_norm(mixed, mixed.shape[-1:])
        return mixer.out(mixed.transpose(1, 2).flatten(-2))


PAIRS: dict[str, tuple[Any, Any, type[Theirs]]] = {
    "FoX": (FoX, Attention, TheirFoX),
    "PaTH": (PaTH, Attention, TheirPaTH),
    "Retention": (NoPE, Retention, TheirRetention),
}


def measured(name: str, length: int, n_rounds: int) -> str:
    """The row of a pair at a length."""
    positional, mixer, peer = PAIRS[name]
    torch.manual_seed(0)
    ours = Encoder(Dims(256, 4, 1, causal=True), positional, mixer=mixer, init_std=0.1)
    theirs = peer(ours)
    x, target = torch.randn(2, N_TOKENS // length, length, 256)

    def step(model: nn.Module) -> list[Tensor]:
        ours.zero_grad()
        out = model(x)
        (out * target).mean().backward()
        return [out.detach(), *(p.grad for p in ours.parameters() if p.grad is not None)]

    pairs = list(zip(step(ours), [each.clone() for each in step(theirs)], strict=True))
    errors = [float((a - b).abs().max() / b.abs().max()) for a, b in pairs]
    took = timing.rounds({"ours": lambda: step(ours), "theirs": lambda: step(theirs)}, n_rounds)
    ratio = timing.ratio(took["ours"], took["theirs"])
    ms = [timing.milliseconds(took[each]) for each in ("ours", "theirs")]
    return (
        f"| {name} | {length} | {errors[0]:.1e} | {max(errors[1:]):.1e} | {ms[0]:.0f} | "
        f"{ms[1]:.0f} | {ratio} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--length", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--smoke", action="store_true", help="one short length, 2 rounds")
    parser.add_argument("--write", action="store_true", help=f"keep results/{OUT.name}")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.smoke:
        args.rounds, args.length = 2, [64]
    lines = [
        "# FoX, PaTH and Retention beside flash-linear-attention's formulas",
        "",
        f"{timing.command()}; {timing.described(timing.setting('torch'))}; fla-core "
        f"{version('fla-core')}. {' '.join((__doc__ or '').split(chr(10) * 2)[2].split())}",
        "",
        "| | tokens | largest difference of outputs | of gradients | ms, ours | theirs | "
        "ours / theirs |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in PAIRS:
        for length in args.length:
            lines.append(measured(name, length, args.rounds))
            print(lines[-1], flush=True)
    if args.write:
        OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
