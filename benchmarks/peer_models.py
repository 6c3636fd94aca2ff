"""Our models beside the peers' and a hand-written one, of the same wiring, for `peers.py`."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.data import Batch
from lightning_posenc.model import Attention, EncoderSpec, RMSNorm, SwiGLU
from lightning_posenc.modules import LanguageModel
from lightning_posenc.positional import ALiBi, CoPE, LearnedAbsolute, NoPE, RoPE, T5Bias
from lightning_posenc.positional.base import Factory

EMBED_STD = 0.02  # GPT-2's


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
_X_WIRING: dict[str, Any] = {
    "mixer": functools.partial(Attention, bias=False),
    "norm": functools.partial(nn.LayerNorm, bias=False),
}


def like_llama(sizes: Sizes) -> dict[str, Any]:
    """Our wiring that is Llama's."""
    return {
        "mixer": functools.partial(Attention, bias=False),
        "norm": functools.partial(RMSNorm, eps=1e-6),
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
