"""Is a training step as fast as a hand-written loop's, x-transformers' and Hugging Face's?

    python benchmarks/peers.py [--rounds 9] [--only RoPE] [--write]

Causal, width 256, 6 layers, 4 heads, length 256, batch 8, 256 tokens, tied weights, the same random
batches, fused AdamW, float32, one thread. Beside each peer stands our model with the peer's own
wiring: its norm, its feed-forward, its biases. A round takes one step of ours, of the peer's and of
the raw loop's without positions; ratios are taken within rounds. Times are the processor's, which
other programs disturb least. `--write` keeps results/peers.md and peers.json, row by row.
"""

import argparse
import functools
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Protocol

import lightning as L
import timing
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from lightning_posenc.data import Batch
from lightning_posenc.metrics_csv import MetricsCSV
from lightning_posenc.model import EncoderSpec, SwiGLU
from lightning_posenc.modules import LanguageModel, parameter_groups
from lightning_posenc.positional import ALiBi, CoPE, LearnedAbsolute, NoPE, RoPE, T5Bias
from lightning_posenc.positional.base import Factory

OUT = timing.RESULTS / "peers.json"
PACKAGES = ("torch", "lightning", "x-transformers", "transformers")
EMBED_STD = 0.02  # GPT-2's
TRAINER = "ours in a Trainer"


class Sizes(NamedTuple):
    """Of every model and batch."""

    width: int = 256
    layers: int = 6
    heads: int = 4
    length: int = 256
    batch: int = 8
    vocabulary: int = 256

    @property
    def d_ff(self) -> int:
        """Width of a gated feed-forward with the parameters of a plain one."""
        return 8 * self.width // 3


class Contender(Protocol):
    """A model with a loss."""

    def __call__(self, batch: Batch) -> Tensor: ...

    def parameters(self) -> Any: ...


class RawBlock(nn.Module):
    """A block as a tutorial writes it."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.n_heads = sizes.heads
        self.qkv = nn.Linear(sizes.width, 3 * sizes.width)
        self.out = nn.Linear(sizes.width, sizes.width)
        self.up = nn.Linear(sizes.width, 4 * sizes.width)
        self.down = nn.Linear(4 * sizes.width, sizes.width)
        self.norm_1 = nn.LayerNorm(sizes.width)
        self.norm_2 = nn.LayerNorm(sizes.width)

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        q, k, v = (
            part.view(n, length, self.n_heads, -1).transpose(1, 2)
            for part in self.qkv(self.norm_1(x)).chunk(3, dim=-1)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(n, length, width))
        return x + self.down(F.gelu(self.up(self.norm_2(x))))


class Raw(nn.Module):
    """The least that is a causal language model: no positions, no options."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(RawBlock(sizes) for _ in range(sizes.layers))
        self.norm = nn.LayerNorm(sizes.width)
        self.embedding = nn.Embedding(sizes.vocabulary, sizes.width)
        nn.init.normal_(self.embedding.weight, std=EMBED_STD)

    def forward(self, batch: Batch) -> Tensor:
        x = self.embedding(batch.tokens)
        for block in self.blocks:
            x = block(x)
        return _loss(F.linear(self.norm(x), self.embedding.weight), batch)


class Ours(nn.Module):
    """Our module's own step, without a Trainer."""

    def __init__(self, sizes: Sizes, positional: Factory, **wiring: Any) -> None:
        super().__init__()
        shape = (sizes.width, sizes.heads, sizes.layers)
        spec = EncoderSpec(*shape, embed_std=EMBED_STD, **wiring)
        self.module = LanguageModel(spec, sizes.vocabulary, positional=positional)

    def forward(self, batch: Batch) -> Tensor:
        return self.module.score(batch, 0)[0]


class XTransformers(nn.Module):
    """A decoder of x-transformers; fused attention wherever it has it."""

    def __init__(self, sizes: Sizes, absolute: bool = False, **options: Any) -> None:
        super().__init__()
        from x_transformers import Decoder, TransformerWrapper

        decoder = Decoder(
            dim=sizes.width,
            depth=sizes.layers,
            heads=sizes.heads,
            attn_dim_head=sizes.width // sizes.heads,
            rotary_emb_dim=sizes.width // sizes.heads,
            **{"attn_flash": True, **options},
        )
        self.model = TransformerWrapper(
            num_tokens=sizes.vocabulary,
            max_seq_len=sizes.length,
            attn_layers=decoder,
            use_abs_pos_emb=absolute,
            tie_embedding=True,
        )

    def forward(self, batch: Batch) -> Tensor:
        return _loss(self.model(batch.tokens), batch)


class HuggingFace(nn.Module):
    """A causal model of transformers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Tensor:
        return _loss(self.model(batch.tokens, use_cache=False).logits, batch)


def gpt2(sizes: Sizes) -> HuggingFace:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=sizes.vocabulary,
        n_positions=sizes.length,
        n_embd=sizes.width,
        n_layer=sizes.layers,
        n_head=sizes.heads,
        activation_function="gelu",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        **_FREE_TOKENS,
    )
    return HuggingFace(GPT2LMHeadModel(config))


def llama(sizes: Sizes) -> HuggingFace:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.width,
        intermediate_size=sizes.d_ff,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        max_position_embeddings=sizes.length,
        tie_word_embeddings=True,
        **_FREE_TOKENS,
    )
    return HuggingFace(LlamaForCausalLM(config))


def bloom(sizes: Sizes) -> HuggingFace:
    """With torch's GELU in place of its own, which is slower and approximate."""
    from transformers import BloomConfig, BloomForCausalLM

    config = BloomConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.width,
        n_layer=sizes.layers,
        n_head=sizes.heads,
        **_FREE_TOKENS,
    )
    model = BloomForCausalLM(config)
    for block in model.transformer.h:
        block.mlp.gelu_impl = nn.GELU()
    return HuggingFace(model)


_FREE_TOKENS: dict[str, Any] = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
_X_WIRING: dict[str, Any] = {"bias": False, "norm": functools.partial(nn.LayerNorm, bias=False)}


def like_llama(sizes: Sizes) -> dict[str, Any]:
    """Our wiring that is Llama's."""
    return {
        "bias": False,
        "norm": functools.partial(nn.RMSNorm, eps=1e-6),
        "feed_forward": functools.partial(SwiGLU, d_ff=sizes.d_ff),
    }


class Pair(NamedTuple):
    """Two models of the same wiring.

    Args:
        most: What ours may take over the peer's time.
        ours: Makes ours.
        peer: Makes the peer.
    """

    most: float
    ours: Callable[[Sizes], Contender]
    peer: Callable[[Sizes], Contender]


def _with(positional: Factory, **wiring: Any) -> Callable[[Sizes], Ours]:
    return lambda sizes: Ours(sizes, positional, **wiring)


def _x(**options: Any) -> Callable[[Sizes], XTransformers]:
    return lambda sizes: XTransformers(sizes, **options)


def _learned(**wiring: Any) -> Callable[[Sizes], Ours]:
    return lambda sizes: Ours(
        sizes, functools.partial(LearnedAbsolute, max_length=sizes.length), **wiring
    )


_UNFUSED = {"attn_flash": False}  # it refuses fused attention for these

PAIRS: dict[str, Pair] = {
    "NoPE, raw loop": Pair(1.03, _with(NoPE), Raw),
    "NoPE, x-transformers": Pair(1.0, _with(NoPE, **_X_WIRING), _x()),
    "LearnedAbsolute, Hugging Face GPT-2": Pair(1.0, _learned(), gpt2),
    "LearnedAbsolute, x-transformers": Pair(1.0, _learned(**_X_WIRING), _x(absolute=True)),
    "RoPE, Hugging Face Llama": Pair(
        1.0, lambda sizes: Ours(sizes, RoPE, **like_llama(sizes)), llama
    ),
    "RoPE, x-transformers": Pair(1.0, _with(RoPE, **_X_WIRING), _x(rotary_pos_emb=True)),
    "ALiBi, Hugging Face BLOOM": Pair(1.0, _with(ALiBi), bloom),
    "ALiBi, x-transformers": Pair(1.0, _with(ALiBi, **_X_WIRING), _x(alibi_pos_bias=True)),
    "T5Bias, x-transformers": Pair(
        0.9, _with(T5Bias, **_X_WIRING), _x(rel_pos_bias=True, **_UNFUSED)
    ),
    "CoPE, x-transformers": Pair(
        0.9,
        _with(functools.partial(CoPE, max_position=63), **_X_WIRING),
        _x(attn_use_cope=True, attn_cope_max_pos=64, **_UNFUSED),
    ),
}


def _loss(logits: Tensor, batch: Batch) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())


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
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, 2 rounds")
    parser.add_argument("--write", action="store_true", help=f"keep results/{OUT.name}")
    args = parser.parse_args()
    torch.set_num_threads(1)
    timing.silence()
    sizes, n_rounds = (Sizes(32, 2, 2, 16, 2, 16), 2) if args.smoke else (Sizes(), args.rounds)
    in_trainer = f"NoPE {TRAINER}, raw loop"
    rows = timing.read(OUT) if args.write else {}
    for name in (*PAIRS, in_trainer):
        if args.only and not any(part in name for part in args.only):
            continue
        if name == in_trainer:
            rows[name] = measure_in_trainer(sizes, n_rounds)
        else:
            rows[name] = measure(name, sizes, n_rounds)
        print(f"{name:40}{timing.Ratio(*rows[name]['ours / peer'])}", flush=True)
        if args.write:
            timing.write(OUT, rows, page(rows))
    print(page(rows))


if __name__ == "__main__":
    main()
