"""Tiny models of ours, of the wiring of one of Hugging Face's families each."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from lightning_posenc.masks import Window
from lightning_posenc.model import MLP, Attention, EncoderSpec, Patches, Plain, SwiGLU
from lightning_posenc.modules import (
    EncoderModule,
    HeadTransform,
    LanguageModel,
    SequenceClassifier,
    TokenClassifier,
)
from lightning_posenc.positional import (
    ALiBi,
    LearnedAbsolute,
    LearnedGrid,
    NoPE,
    PartialRoPE,
    PRoPE,
    RoPE,
)
from tests.pretrained.conversion.theirs import D, H, L, V, drawn

LLAMA = {
    "mixer": partial(Attention, n_kv_heads=2, bias=False),
    "feed_forward": SwiGLU,
    "norm": nn.RMSNorm,
}
BERT = {
    "residual": partial(Plain, pre_norm=False, embedding_norm=True),
    "norm": partial(nn.LayerNorm, eps=1e-6),
}
BLOOM = {
    "residual": partial(Plain, embedding_norm=True),
    "feed_forward": partial(MLP, activation=partial(nn.GELU, approximate="tanh")),
}
POOLER = partial(HeadTransform, activation=nn.Tanh)
TABLE = partial(LearnedAbsolute, max_length=16)


def spec(**wiring: Any) -> EncoderSpec:
    """The sizes that all have."""
    return EncoderSpec(D, H, L, **wiring)


MODELS: dict[str, tuple[str, Callable[[], EncoderModule]]] = {
    "llama": ("Llama", lambda: LanguageModel(spec(**LLAMA), V, positional=RoPE)),
    "llama, window, own head": ("Llama", lambda: LanguageModel(
        spec(**LLAMA, mask=Window(5)), V, tie_weights=False, positional=NoPE)),
    "llama, norm of q and k": ("Llama", lambda: TokenClassifier(
        spec(**{**LLAMA, "mixer": partial(Attention, n_kv_heads=2, qk_norm=nn.RMSNorm)}), V, 3,
        causal=True, positional=partial(PRoPE, fraction=0.5))),
    "llama, classes": ("Llama", lambda: SequenceClassifier(
        spec(**LLAMA), V, 3, pooling="last", head_bias=False, causal=True, positional=RoPE)),
    "the default": ("GPT-NeoX", lambda: LanguageModel(spec(), V, positional=RoPE)),
    "the default, in parallel": ("GPT-NeoX", lambda: LanguageModel(
        spec(residual=partial(Plain, parallel=True)), V,
        positional=partial(PartialRoPE, fraction=0.25))),
    "the default, without position": ("GPT-NeoX", lambda: TokenClassifier(
        spec(feed_forward=partial(MLP, activation=nn.ReLU)), V, 3, causal=True)),
    "gpt2": ("GPT-2", lambda: LanguageModel(spec(), V, positional=TABLE)),
    "gpt2, no biases": ("GPT-2", lambda: LanguageModel(
        spec(mixer=partial(Attention, bias=False), norm=partial(nn.LayerNorm, bias=False),
             feed_forward=partial(MLP, bias=False), sigma_reparam=True), V, positional=TABLE)),
    "bloom": ("BLOOM", lambda: LanguageModel(spec(**BLOOM), V, positional=ALiBi)),
    "bert": ("BERT", lambda: LanguageModel(
        spec(**BERT), V, "masked", positional=TABLE,
        transform=partial(HeadTransform, norm=partial(nn.LayerNorm, eps=1e-6)))),
    "bert, sequences": ("BERT", lambda: SequenceClassifier(
        spec(**BERT), V, 3, pooling="first", transform=POOLER, positional=TABLE)),
    "bert, tokens": ("BERT", lambda: TokenClassifier(spec(**BERT), V, 3, positional=TABLE)),
    "vit": ("ViT", lambda: SequenceClassifier(
        spec(mixer=partial(Attention, bias=False, out_bias=True)), None, 3, pooling="first",
        inputs=partial(Patches, patch_size=(2, 4), n_channels=1),
        positional=partial(LearnedGrid, height=3, width=2))),
    "deit": ("ViT", lambda: SequenceClassifier(
        spec(), None, 3, pooling="first",
        inputs=partial(Patches, patch_size=4, n_channels=1, n_class_tokens=2),
        positional=partial(LearnedGrid, height=3, width=3))),
}  # fmt: skip


def made(name: str) -> EncoderModule:
    """The model of an entry of `MODELS`, every weight drawn."""
    return drawn(MODELS[name][1]()).eval()
