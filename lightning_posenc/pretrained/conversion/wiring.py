"""What an encoder of ours is made of, and what keeps it from being a family of Hugging Face's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lightning_posenc.masks import Both, Causal, Mask, Window
from lightning_posenc.model import Attention, Encoder, Kernel, Plain, TokenEmbedding
from lightning_posenc.model.block import Block
from lightning_posenc.modules import EncoderModule, LanguageModel
from lightning_posenc.positions import Sequences
from lightning_posenc.pretrained.conversion.activations import name_of


@dataclass(frozen=True)
class Wiring:
    """The parts of a model; of blocks the first, which `alike` compares with the others.

    Args:
        module: The model.
        trained_length: Longest sequence of its training, if anybody knows.
        class_names: Names of its classes, likewise.
    """

    module: EncoderModule
    trained_length: int = 2048
    class_names: tuple[str, ...] = ()

    @property
    def encoder(self) -> Encoder:
        """The encoder."""
        return self.module.encoder

    @property
    def positional(self) -> Any:
        """Its encoding."""
        return self.encoder.positional

    @property
    def block(self) -> Block:
        """The first block."""
        return cast(Block, self.encoder.blocks[0])

    @property
    def attention(self) -> Attention:
        """Its mixer, which a check has seen to be attention."""
        return cast(Attention, self.block.attention)

    @property
    def feed_forward(self) -> Any:
        """Its feed-forward."""
        return self.block.feed_forward

    @property
    def transform(self) -> Any:
        """What comes before its head."""
        return self.module.transform

    @property
    def inputs(self) -> Any:
        """What makes its tokens."""
        return self.module.embedding

    @property
    def norm(self) -> Any:
        """The norm before, or after, its mixer."""
        return self.block.norm_attention

    @property
    def eps(self) -> float:
        """What the norms add to a variance."""
        return torch.finfo(torch.float32).eps if self.norm.eps is None else self.norm.eps

    @property
    def is_parallel(self) -> bool:
        """Whether mixer and feed-forward read the same stream."""
        return self.block.residual_feed_forward.parallel

    @property
    def n_kv_heads(self) -> int:
        """G, heads of keys and values."""
        return self.attention.qkv.widths["k"] // self.encoder.dims.d_head

    @property
    def d_ff(self) -> int:
        """F, width of the feed-forward."""
        return self.feed_forward.out.in_features

    @property
    def activation(self) -> str | None:
        """The name of the feed-forward's activation."""
        return name_of(self.feed_forward.activation)

    @property
    def has_attention_bias(self) -> bool:
        """Whether any projection of attention has a bias."""
        return self.attention.qkv.bias is not None or self.attention.out.bias is not None

    @property
    def window(self) -> int | None:
        """How far tokens see, if all layers have the same window."""
        return next((mask.size for mask in self.masks if isinstance(mask, Window)), None)

    @property
    def dropout(self) -> float:
        """Probability of dropping a channel of a branch."""
        return self.block.dropout.p

    @property
    def attention_dropout(self) -> float:
        """Probability of dropping an attention weight."""
        return cast(Kernel, self.attention.kernel.tried[0]).dropout

    @property
    def is_tied(self) -> bool:
        """Whether the head is the token embedding."""
        return getattr(self.module, "head", None) is None

    @property
    def pad_token_id(self) -> int | None:
        """A row of theirs beyond our vocabulary, for padding; None where it would be scored."""
        reads_ids = isinstance(self.module.embedding, TokenEmbedding)
        if not reads_ids or getattr(self.module, "objective", None) == "causal":
            return None
        return self.module.embedding.vocab_size  # type: ignore[return-value]

    @property
    def tokens_and_labels(self) -> dict[str, Any]:
        """What a config says of ids that no text has, and of classes."""
        module: Any = self.module
        said: dict[str, Any] = {"bos_token_id": None, "eos_token_id": None}
        said["pad_token_id"] = self.pad_token_id
        if isinstance(module.embedding, TokenEmbedding):
            said["vocab_size"] = module.embedding.vocab_size + (self.pad_token_id is not None)
        if isinstance(module, LanguageModel):
            return said | ({"mask_token_id": module.vocab_size} if self.hides else {})
        names = self.class_names or [f"LABEL_{n}" for n in range(module.n_classes)]
        labels = dict(enumerate(names))
        return said | {"id2label": labels, "label2id": {name: n for n, name in labels.items()}}

    @property
    def hides(self) -> bool:
        """Whether it is a model of masked words."""
        return getattr(self.module, "objective", None) == "masked"

    @property
    def masks(self) -> list[Mask]:
        """Who may see whom in the first layer, besides padding and documents: each of these."""
        first = self.encoder.masks[0]
        if isinstance(first, Both):
            return [first.left, first.right]
        return [] if first is None else [first]

    @cached_property
    def state(self) -> dict[str, Tensor]:
        """The weights by name, those of learned spectral norm as they work out."""
        state = {name: value.detach() for name, value in self.module.state_dict().items()}
        for path, part in self.module.named_modules():
            if not isinstance(part, nn.Module) or not parametrize.is_parametrized(part):
                continue
            for name in list(part.parametrizations):  # type: ignore[arg-type]
                inner = f"{path}.parametrizations.{name}."
                state = {n: value for n, value in state.items() if not n.startswith(inner)}
                state[f"{path}.{name}"] = getattr(part, name).detach()
        return state


Check: TypeAlias = Callable[[Wiring], str | None]
"""Says which option of a model is in the way of a family, and what to set; None if none is."""


def problems(checks: Sequence[Check], wiring: Wiring) -> list[str]:
    """What the checks find; later ones may count on earlier ones' having found nothing."""
    found = []
    for check in checks:
        try:
            problem = check(wiring)
        except AttributeError:  # of a part of another kind, which an earlier check has found
            continue
        if problem:
            found.append(problem)
    return found


def is_made_of(option: str, get: Callable[[Wiring], Any], *kinds: type) -> Check:
    """A part must be exactly of one of some classes."""

    def check(wiring: Wiring) -> str | None:
        part = get(wiring)
        wanted = " or ".join(_named(kind) for kind in kinds)
        return None if type(part) in kinds else f"{option}={_named(type(part))}: set {wanted}"

    return check


def is_value(option: str, get: Callable[[Wiring], Any], wanted: Any) -> Check:
    """An option must have one value."""

    def check(wiring: Wiring) -> str | None:
        value = get(wiring)
        return None if value == wanted else f"{option}={_said(value)}: set {_said(wanted)}"

    return check


def holds(test: Callable[[Wiring], bool], problem: str) -> Check:
    """Something must hold; if not, the problem is told."""
    return lambda wiring: None if test(wiring) else problem


def has_activation(*names: str) -> Check:
    """The feed-forward's activation must have one of some names; any that has one without."""

    def check(wiring: Wiring) -> str | None:
        activation = wiring.feed_forward.activation
        name = wiring.activation
        if name is not None and (not names or name in names):
            return None
        wanted = " or ".join(names) if names else "torch.nn.GELU, ReLU or SiLU"
        return f"encoder.feed_forward.activation={activation!r}: set {wanted}"

    return check


def _alike(wiring: Wiring) -> str | None:
    for option, get in (
        ("mixer", lambda block: block.attention),
        ("feed_forward", lambda block: block.feed_forward),
    ):
        if len({repr(get(block)) for block in wiring.encoder.blocks}) > 1:
            return f"encoder.{option} differs by layer: give one for all"
    if len({repr(mask) for mask in wiring.encoder.masks}) > 1:
        return "encoder.mask differs by layer: give one for all"
    return None


def _counts(wiring: Wiring) -> str | None:
    sampler = wiring.encoder.positions
    was = sampler.training
    try:
        drawn = sampler.eval()(Sequences(1, 8, torch.device("cpu")))
    except ValueError:
        drawn = torch.empty(0)
    finally:
        sampler.train(was)
    if torch.equal(drawn, torch.arange(8)[None]):
        return None
    return f"positions={type(sampler).__name__}: set positions=Consecutive"


def masks_are(*kinds: type) -> Check:
    """Masks besides causality must be of one of some classes, and the same in all layers."""

    def check(wiring: Wiring) -> str | None:
        if all(isinstance(mask, (Causal, *kinds)) for mask in wiring.masks):
            return None
        return "encoder.mask: leave it out"

    return check


ALIKE: Check = _alike
COUNTS: Check = _counts
UNMASKED = masks_are()
AT_THE_START = is_value("positional.layers", lambda w: sorted(w.positional.layers), [0])
ATTENTION = is_made_of("encoder.mixer", lambda w: w.block.attention, Attention)
PLAIN = is_made_of("encoder.residual", lambda w: w.block.residual_attention, Plain)
NO_QK_NORM = is_made_of("encoder.mixer.qk_norm", lambda w: w.attention.qk_norm, type(None))
NOT_PARALLEL = is_value("encoder.residual.parallel", lambda w: w.is_parallel, False)
ONE_GROUP = is_value(
    "encoder.mixer.n_kv_heads", lambda w: w.encoder.dims.n_heads // w.n_kv_heads, 1
)
NO_SINKS = is_value("encoder.mixer.sinks", lambda w: w.attention.sinks is not None, False)
IN_ALL = (ATTENTION, ALIKE, PLAIN, NO_SINKS)


def pre_norm(wanted: bool) -> Check:
    """Norms must stand before the branches, or after the sums."""
    return is_value("encoder.residual.pre_norm", lambda w: w.block.pre_norm, wanted)


def embedding_norm(wanted: bool) -> Check:
    """The embedded tokens must have a norm, or none."""
    return is_value(
        "encoder.residual.embedding_norm",
        lambda w: w.block.residual_attention.embedding_norm,
        wanted,
    )


def causal(wanted: bool) -> Check:
    """The model must be causal, or not."""
    return is_value("causal", lambda w: w.encoder.dims.causal, wanted)


def norms_are(*kinds: type) -> Check:
    """All norms must be of one of some classes."""
    return is_made_of("encoder.norm", lambda w: w.norm, *kinds)


def feed_forwards_are(*kinds: type) -> Check:
    """All feed-forwards must be of one of some classes."""
    return is_made_of("encoder.feed_forward", lambda w: w.feed_forward, *kinds)


def encodings_are(*kinds: type) -> Check:
    """The encoding must be of one of some classes."""
    return is_made_of("positional", lambda w: w.positional, *kinds)


def inputs_are(*kinds: type) -> Check:
    """The inputs must be of one of some classes."""
    return is_made_of("inputs", lambda w: w.inputs, *kinds)


def _named(kind: type) -> str:
    if kind is type(None):
        return "null"
    package = kind.__module__.partition(".")[0]
    if package == "lightning_posenc":
        return kind.__name__
    return f"{'torch.nn' if package == 'torch' else kind.__module__}.{kind.__name__}"


def _said(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
